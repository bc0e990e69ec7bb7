"""What stands beside a candidate in a table: recommended, failed, or INVALID with the codes of the reasons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RECOMMENDED = "recommended"


def remark(entry: Mapping[str, Any], *, is_chosen: bool) -> str:
    """One line about a measured candidate, of its entry in the state; empty if there is nothing to say."""
    if entry.get("error"):
        return f"failed: {str(entry['error']).splitlines()[0]}"
    said = [RECOMMENDED] if is_chosen else []
    if entry.get("validity") == "INVALID":
        codes = invalid_codes(entry)
        said.append(f"INVALID ({', '.join(codes)})" if codes else "INVALID")
    return ", ".join(said)


def invalid_codes(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The codes of the reasons for which a figure must not be used, each once."""
    return tuple(dict.fromkeys(str(reason).partition(":")[0] for reason in entry.get("reasons") or ()))
