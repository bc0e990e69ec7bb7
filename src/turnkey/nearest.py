"""Names that a user may have meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], *, most: int = 3) -> list[str]:
    """Known names that resemble ``name``, the closest first; whole prefixes (``--max`` of ``--max-depth``) count."""
    from difflib import get_close_matches  # only a mistake pays for it

    candidates = sorted(set(known))
    begun = [candidate for candidate in candidates if len(name) > 2 and candidate.startswith(name)]
    close = get_close_matches(name, candidates, n=most, cutoff=0.6)
    return list(dict.fromkeys([*begun, *close]))[:most]
