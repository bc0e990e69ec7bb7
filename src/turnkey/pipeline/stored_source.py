"""The source model of a state: the live one, else what the build directory still knows of it."""

from __future__ import annotations

from turnkey.errors import ArtifactError, InputError
from turnkey.model.samples import read_samples
from turnkey.model.source import SourceModel
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.state import State

_LOADED = "loaded"


def source_of(state: State) -> SourceModel:
    """The model to verify against or to measure.

    A build that was loaded without running its script again has no live module: its samples with the reference
    outputs that were kept are what there is, and for an ONNX input the loaded file.

    Raises:
        InputError: the state holds neither a model nor samples.
    """
    if state.model is not None:
        return state.model
    try:
        samples = read_samples(BuildPaths(state.cache_dir, state.build_name).samples)
    except ArtifactError as error:
        raise InputError(
            f"the build {state.build_name} holds no model and no samples of one",
            evidence=error.evidence or error.what,
            remedy="start the sequence with discover, load-onnx or load-build",
        ) from error
    loaded = next((variant for variant in state.variants if variant.exporter == _LOADED), None)
    statistics = state.statistics
    return SourceModel(
        module=None,
        path=None if loaded is None else state.build_dir / loaded.path,
        samples=samples,
        class_name=str(statistics.get("class", state.build_name)),
        model_hash=state.model_hash,
        hash_basis=str(statistics.get("hash_basis", "")),
        weights_hash=state.weights_hash,
        parameter_count=int(statistics.get("parameters", 0)),
        parameter_bytes=0,
    )
