"""An export as its tarball tells it: the models and options with which it can be made again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from turnkey.mlf.failures import failure
from turnkey.mlf.library import Library, Module
from turnkey.mlf.options import ExportOptions
from turnkey.mlf.weights import SMALL_BYTES, weights_apart, with_constants

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

_NEEDED = frozenset({"abi", "kernels", "source"})
"""What the metadata must tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierExport:
    """What a tarball was made from.

    Attributes:
        models: by module, as they were compiled: optimised once, their dimensions fixed.
        options: as far as a tarball tells them; budgets and compiler flags leave no trace.
    """

    models: Mapping[str, onnx.ModelProto]
    options: ExportOptions


def earlier_export(library: Library, *, cc: str | None, cflags: tuple[str, ...] | None) -> EarlierExport:
    """How a tarball of ours was exported.

    Args:
        cc, cflags: the toolchain of the next export.

    Raises:
        MlfUsageError: it is no full model with both executors, or does not tell enough.
        MlfArtifactError: its model is none.
    """
    for module in library.modules:
        _refuse_others(module)
    models = {module.name: _valid_model(module) for module in library.modules}
    return EarlierExport(models=models, options=ExportOptions(**_told(library), cc=cc, cflags=cflags, optimize="none"))


def _refuse_others(module: Module) -> None:
    facts = module.metadata
    missing = _NEEDED - {*facts.turnkey}
    if missing or not facts.targets or facts.style != "full-model" or {"aot", "graph"} - {*facts.executors}:
        raise failure(
            "mlf-bad-option",
            f"the module {module.name!r} cannot be exported again",
            evidence=f"style {facts.style}, executors {', '.join(facts.executors) or 'none'}, "
            f"targets {', '.join(facts.targets) or 'none'}, not told: {', '.join(sorted(missing)) or 'nothing'}",
            remedy="export it as a full model with --executor both",
        )


def _valid_model(module: Module) -> onnx.ModelProto:
    """The model inside; what we wrote there is valid, what a stranger did may be anything."""
    import onnx

    model = module.onnx()
    try:
        onnx.checker.check_model(with_constants(*weights_apart(model), limit=SMALL_BYTES))
    except Exception as error:
        raise failure(
            "mlf-bad-archive",
            "the tarball's ONNX model is not valid",
            evidence=f"src/{module.name}.onnx: {' '.join(str(error).split())[:200]}",
            remedy="fetch the tarball again, or export the model again",
        ) from error
    return model


def _told(library: Library) -> dict[str, Any]:
    module = library.modules[0]
    words = dict(word.partition("=")[::2] for word in module.metadata.targets[0].split() if "=" in word)
    return {
        "version": 5 if library.version == 5 else 7,
        "workspace": module.abi["workspace"],
        "constants": module.abi["constants"],
        "align": module.abi["workspace_alignment"],
        "vector_bytes": module.abi.get("vector_bytes"),
        "target": words.get("-mtriple") or words.get("-model", "host"),
        "order": module.plan.get("order", "given"),
        "objects": any(file.startswith("codegen/host/lib/") for file in library.files),
    }
