"""Memory at an alignment, with guard zones around it that show a write out of bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnkey import host
from turnkey.mlf.failures import failure

if TYPE_CHECKING:
    import numpy as np

GUARD_BYTES = 256
_NEVER_SCARCE_BYTES = 64 << 20
_GUARD = 0xC3


class GuardedBlock:
    """``size`` bytes, aligned, between two guard zones. ``bytes`` is the block itself.

    Raises:
        MlfArtifactError: there is not that much memory.
    """

    def __init__(self, size: int, *, align: int = 64, fill: int = 0) -> None:
        import numpy as np

        if size + align > _NEVER_SCARCE_BYTES and size + align > host.available_memory_bytes():
            raise failure(
                "mlf-too-large",
                "a call of the module needs more memory than there is",
                evidence=f"{size} bytes aligned to {align}, {host.available_memory_bytes()} are free",
                remedy="run it on a machine with more memory; a tarball of a stranger may ask for any size",
            )
        self._whole = np.full(size + 2 * GUARD_BYTES + align, _GUARD, np.uint8)
        self._start = GUARD_BYTES + (-(self._whole.ctypes.data + GUARD_BYTES)) % align
        self.bytes: np.ndarray = self._whole[self._start : self._start + size]
        self.bytes[:] = fill

    @property
    def address(self) -> int:
        return int(self._whole.ctypes.data) + self._start

    def damage(self) -> list[int]:
        """Offsets, relative to the block, of guard bytes that were overwritten; empty when all is well."""
        import numpy as np

        outside = np.flatnonzero(self._whole != _GUARD) - self._start
        return [int(offset) for offset in outside if offset < 0 or offset >= self.bytes.size]
