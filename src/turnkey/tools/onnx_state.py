"""What the ONNX tools share: the newest ONNX file of a state, names of the files made from it, and its statistics."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from turnkey.errors import ConversionError
from turnkey.formats import Conversion
from turnkey.formats.onnx_file import describe_file, load_graph
from turnkey.formats.onnx_signature import read_signature
from turnkey.formats.onnx_statistics import onnx_statistics
from turnkey.model.onnx_hash import onnx_hash, weights_hash_of_onnx
from turnkey.model.samples import SampleSet
from turnkey.model.source import SourceModel
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.state import State, Variant

_STAGE = re.compile(r"-op\d+-(?P<stage>[a-z0-9-]+)\.onnx$")
_FIRST_STAGES = ("base", "loaded")


class Weights(NamedTuple):
    """Elements and bytes of what plays the part of parameters."""

    elements: int
    size_bytes: int


def newest_onnx(state: State, *, tool: str) -> Variant:
    """The newest variant if it is an ONNX file, else the newest that is.

    Raises:
        ConversionError: the state holds no ONNX file; the remedy is the command that makes one.
    """
    ordered = [variant for variant in state.variants if variant.key == state.results]
    ordered += reversed([variant for variant in state.variants if variant.key != state.results])
    for variant in ordered:
        if variant.path.endswith(".onnx"):
            return variant
    raise ConversionError(
        f"{tool} needs an ONNX file, and the build {state.build_name} has none",
        evidence=f"variants: {', '.join(variant.key for variant in state.variants) or 'none'}",
        remedy=f"turnkey -i SCRIPT.py discover export-pytorch {tool}",
    )


def onnx_path(state: State, parent: Variant, *, suffix: str) -> Path:
    """Where a file made from ``parent`` goes: ``...-opt.onnx``, ``...-f16.onnx``, ``...-opt-f16.onnx``."""
    matched = _STAGE.search(parent.path)
    stage = matched["stage"] if matched else ""
    stages = [stage] if stage and stage not in _FIRST_STAGES else []
    return BuildPaths(state.cache_dir, state.build_name).onnx(state.onnx_opset or 0, "-".join([*stages, suffix]))


def onnx_stage(key: str) -> str:
    """The part of a file's name that tells its variant: ``onnx`` is ``base``, ``onnx-opt-fp16`` is ``opt-f16``."""
    parts = ["f16" if part == "fp16" else part for part in key.removeprefix("onnx").strip("-").split("-") if part]
    return "-".join(parts) or _FIRST_STAGES[0]


def with_onnx(state: State, conversion: Conversion, *, key: str, parent: Variant | None) -> State:
    """The state with the new file as its newest variant, its notes in the log, and the ``onnx_*`` statistics."""
    file = describe_file(conversion.path)
    paths = BuildPaths(state.cache_dir, state.build_name)
    variant = Variant(
        key=key,
        format="onnx",
        path=paths.relative(conversion.path),
        sha256=file.sha256,
        lineage=(*parent.lineage, parent.key) if parent else (),
        exporter=conversion.exporter,
        size_bytes=file.size_bytes,
        notes=conversion.notes,
    )
    for note in conversion.notes:
        print(note)
    state = without_stale(state, key).with_variant(variant)
    if conversion.facts.get("downcast_applied") is not None:
        dtypes = {spec.name: spec.dtype for spec in read_signature(load_graph(conversion.path)).inputs}
        state = replace(
            state,
            downcast_applied=state.downcast_applied or bool(conversion.facts["downcast_applied"]),
            expected_input_dtypes={**state.expected_input_dtypes, **dtypes},
        )
    opset = int(conversion.facts.get("opset") or 0)
    statistics = onnx_statistics(conversion.path, shapes=_shapes(state))
    print(f"{conversion.path.name}: {file.size_bytes} bytes, opset {opset}, by {conversion.exporter}")
    if parent is None:
        statistics["exporter"] = conversion.exporter
    return replace(state, onnx_opset=opset).with_statistics(**statistics, onnx_file=variant.path, opset=opset)


def with_onnx_source(
    state: State, path: Path, samples: SampleSet, *, name: str, class_name: str, weights: Weights
) -> State:
    """The state of a build whose model is an ONNX file: the source model with its samples, hashes and signature.

    Args:
        path: of the file in the build.
        name: for people.
        class_name: of the graph.
        weights: of its parameters.
    """
    digest, basis = onnx_hash(path)
    weights_hash = weights_hash_of_onnx(path)
    source = SourceModel(
        module=None,
        path=path,
        samples=samples,
        class_name=class_name,
        model_hash=digest,
        hash_basis=basis,
        weights_hash=weights_hash,
        parameter_count=weights.elements,
        parameter_bytes=weights.size_bytes,
    )
    state = replace(state, model=source, model_hash=digest, weights_hash=weights_hash, **_signature_fields(path))
    return state.with_statistics(
        **{"class": class_name},
        model_name=name,
        hash=digest[:8],
        selected_invocation_hash=digest[:8],
        hash_basis=basis,
        weights_hash=weights_hash,
        parameters=weights.elements,
    )


def _signature_fields(path: Path) -> dict[str, Any]:
    """The state's expected inputs and outputs of a loaded file; symbolic dimensions stay symbolic."""
    signature = read_signature(load_graph(path))
    return {
        "expected_input_shapes": {spec.name: spec.shape for spec in signature.inputs},
        "expected_input_dtypes": {spec.name: spec.dtype for spec in signature.inputs},
        "expected_output_names": tuple(spec.name for spec in signature.outputs),
    }


def without_stale(state: State, key: str) -> State:
    """What was made from an older file of this name, and what was proven of either, does not belong to the new one."""
    stale = {key, *(variant.key for variant in state.variants if key in variant.lineage)}
    return replace(
        state,
        variants=tuple(variant for variant in state.variants if key not in variant.lineage),
        verification=tuple(entry for entry in state.verification if entry.get("key") not in stale),
    )


def _shapes(state: State) -> dict[str, tuple[int, ...]]:
    """Input shapes of the first sample, for which operations are counted."""
    if state.model is None:
        return {}
    return {name: array.shape for name, array in state.model.samples.inputs[0].items()}
