"""How a stored variant is called, in a file beside it: ``model.pt`` has ``model.pt.call.json``.

For formats whose own files keep neither names nor free dimensions (TorchScript, packages of AOTInductor, ExecuTorch).
Format, ``call_version`` 1; all keys are required, others are refused; at most 4 MiB:

    {"call_version": 1,
     "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 3]}],
     "outputs": [{"name": "output", "dtype": "float32", "shape": ["batch", 2]}],
     "structure": null}
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from turnkey.errors import ArtifactError
from turnkey.formats.finished_file import finished_file
from turnkey.model.call import CallStructure
from turnkey.model.signature import Signature

_VERSION = 1
_LIMIT_BYTES = 4 << 20
_KEYS = {"call_version", "inputs", "outputs", "structure"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCall:
    """How a stored variant is called.

    Attributes:
        signature: names in the order of the call; a symbolic dimension is free.
        structure: how named tensors become the arguments of what is stored, whose result is then the model's own;
            None passes them by position and gets a flat tuple back, in the order of the signature.
    """

    signature: Signature
    structure: CallStructure | None = None


def stored_call_path(path: Path) -> Path:
    """Name of the file beside a variant's."""
    return path.with_name(f"{path.name}.call.json")


def write_stored_call(call: StoredCall, path: Path) -> Path:
    """Write what is beside the variant ``path``; returns its name.

    Raises:
        ValueError: the call has an argument that no file can hold.
    """
    structure = None if call.structure is None else call.structure.to_dict()
    content = {"call_version": _VERSION, **call.signature.to_dict(), "structure": structure}
    target = stored_call_path(path)
    with finished_file(target) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return target


def read_stored_call(path: Path) -> StoredCall:
    """What is beside the variant ``path``.

    Raises:
        ArtifactError: there is nothing, or it is not what `write_stored_call` writes.
    """
    source = stored_call_path(path)
    try:
        if source.stat().st_size > _LIMIT_BYTES:
            raise ValueError(f"larger than {_LIMIT_BYTES} bytes")
        content = json.loads(source.read_bytes())
        if set(content) != _KEYS or content["call_version"] != _VERSION:
            raise ValueError(f"keys {sorted(content)}, version {content.get('call_version')!r}")
        structure = None if content["structure"] is None else CallStructure.from_dict(content["structure"])
        signature = Signature.from_dict(content)
        _refuse_wrong_shapes(signature)
        return StoredCall(signature=signature, structure=structure)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(
            f"it is not known how {path.name} is called",
            evidence=f"{source}: {type(error).__name__}: {error}",
            remedy="make the variant again: turnkey ... convert --to FORMAT",
        ) from error


def _refuse_wrong_shapes(signature: Signature) -> None:
    for spec in (*signature.inputs, *signature.outputs):
        for extent in spec.shape:
            if isinstance(extent, bool) or not (isinstance(extent, str) or (isinstance(extent, int) and extent >= 0)):
                raise ValueError(f"{spec.name} has the dimension {extent!r}")
