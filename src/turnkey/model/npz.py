"""Arrays in NumPy's archive files; those that a stranger may have written are believed after their sizes were checked.

No pickle. What an array's header says of shape and dtype must be what its member holds, before memory is claimed.
"""

from __future__ import annotations

import math
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np  # at run time only inside functions: a script sets its thread variables before numpy loads

HEADER_LIMIT_BYTES = 16 << 10
_SUFFIX = ".npy"


def regular_size(path: Path) -> int:
    """Bytes of a file that is neither a link nor a device. Raises ValueError if it is, OSError if it is missing."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a regular file")
    return status.st_size


def write_arrays(file: IO[bytes], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as ``numpy.savez`` does, by any names: those of its own parameters (``file``) too.

    Raises:
        ValueError: an array holds Python objects.
    """
    import numpy as np

    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}{_SUFFIX}", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def read_arrays(path: Path, *, limit_bytes: int) -> dict[str, np.ndarray]:
    """The arrays of a file by name.

    Raises:
        ValueError, zipfile.BadZipFile, EOFError: a link, more bytes than allowed, or not what NumPy writes.
        OSError: it cannot be read.
    """
    regular_size(path)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        size = sum(info.file_size for info in members)
        if size > limit_bytes:
            raise ValueError(f"{size} bytes unpacked; at most {limit_bytes} are read")
        foreign = [info.filename for info in members if not info.filename.endswith(_SUFFIX)]
        if foreign:
            raise ValueError(f"unknown members {foreign[:3]}")
        return {info.filename.removesuffix(_SUFFIX): read_member(archive, info) for info in members}


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """One array.

    Raises:
        ValueError: its header is too long, or says another size than the member has, or it holds Python objects.
    """
    import numpy as np

    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in readers:
            raise ValueError(f"{info.filename} is of the unknown version {version}")
        shape, _, dtype = readers[version](member, max_header_size=HEADER_LIMIT_BYTES)
        claimed = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or min(shape, default=0) < 0 or member.tell() + claimed != info.file_size:
            raise ValueError(f"{info.filename} has {info.file_size} bytes, its header says {dtype}{shape}")
    with archive.open(info) as member:
        array: np.ndarray = np.lib.format.read_array(member, allow_pickle=False, max_header_size=HEADER_LIMIT_BYTES)
    return array
