"""From a lowered and laid-out program to C text."""

from __future__ import annotations

from turnkey.mlf.codegen.sources import Sources, emit

__all__ = ["Sources", "emit"]
