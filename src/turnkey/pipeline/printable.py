"""Text that may be shown: what scripts, models and files of strangers say, without power over the terminal."""

from __future__ import annotations


def printable(text: str, *, keep: str = "") -> str:
    """The text with blanks in the place of control characters but those to keep: it must not move the cursor."""
    return text if text.isprintable() else "".join(c if c.isprintable() or c in keep else " " for c in text)
