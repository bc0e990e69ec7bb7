"""How discovery looks at a script."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryOptions:
    """How to look.

    Attributes:
        max_depth: module calls nested at most that deep are listed; 0 means top-level calls.
        sample_count: captured inputs kept per signature, at least 1.
        sample_bytes: of all captured inputs; the first of each signature is kept in any case.
        keep_bytes: of models kept alive until the end of the script; None is a quarter of the free memory.
        compiled: ``run``, or ``eager`` to run the script with torch.compile switched off.
        seed: of the choice of samples.
    """

    max_depth: int = 0
    sample_count: int = 16
    sample_bytes: int = 256 << 20
    keep_bytes: int | None = None
    compiled: str = "run"
    seed: int = 0
