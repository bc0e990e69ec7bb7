"""A variant of any build as a served model: which one, with which tensors."""

from __future__ import annotations

from turnkey.errors import ConversionError, UsageError
from turnkey.model.samples import Sample, SampleSet, read_samples
from turnkey.model.signature import Signature, TensorSpec
from turnkey.navigator.metadata import VARIES, TensorMetadata
from turnkey.navigator.triton.batching import DynamicBatcher
from turnkey.navigator.triton.model_config import ModelConfig, ONNXModelConfig, PyTorchModelConfig
from turnkey.navigator.triton.served_model import ServedModel
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.state import State, Variant

_CONFIGS: dict[str, type[ModelConfig]] = {".onnx": ONNXModelConfig, ".pt": PyTorchModelConfig}


def chosen_variant(state: State, key: str | None) -> Variant:
    """The variant to serve: the named one, the recommended one, else the newest that is verified and can be served.

    Raises:
        UsageError: there is none of that name.
        ConversionError: it is not verified, or the server cannot execute it; or none is left.
    """
    known = {variant.key: variant for variant in state.variants}
    if key is not None:
        if key not in known:
            raise UsageError(f"the build has no variant {key!r}", evidence=f"it has: {', '.join(known) or 'none'}")
        reason = _obstacle(state, known[key])
        if reason:
            raise ConversionError(f"{key} is not exported: {reason}", remedy="put verify before export-triton")
        return known[key]
    recommended = next((entry for entry in state.measurements if entry.get("key") == state.chosen), {})
    wanted = [known[recommended["variant"]]] if recommended.get("variant") in known else []
    reasons = []
    for variant in [*wanted, *reversed(state.variants)]:
        reason = _obstacle(state, variant)
        if not reason:
            return variant
        reasons.append(f"{variant.key}: {reason}")
    raise ConversionError(
        "no variant of this build can be served",
        evidence="\n".join(reasons) or "it has no variants",
        remedy="turnkey -i INPUT discover export-pytorch verify export-triton --repository DIR",
    )


def config_of_variant(
    state: State,
    variant: Variant,
    *,
    max_batch_size: int,
    queue_delay_us: int,
    instances: int,
    on_gpu: bool,
    warmup: bool,
) -> ModelConfig:
    """The configuration of a variant. A file whose first axes are all one symbol is batched, others are not.

    Raises:
        ConversionError: the tensors of the variant are not known.
    """
    samples = read_samples(BuildPaths(state.cache_dir, state.build_name).samples)
    signature = _signature(state, variant, samples)
    served_model = ServedModel(
        inputs=[_tensor(spec) for spec in signature.inputs],
        outputs=[_tensor(spec) for spec in signature.outputs],
        batched=_is_batched(signature),
        largest_batch=max_batch_size,
        usual_shapes={name: array.shape for name, array in samples.inputs[0].items()},
        on_gpu=on_gpu,
    )
    return served_model.config(
        _CONFIGS[_suffix(variant)],
        warmup=warmup,
        batcher=DynamicBatcher(max_queue_delay_microseconds=queue_delay_us),
        instances=instances,
    )


def _obstacle(state: State, variant: Variant) -> str:
    if _suffix(variant) not in _CONFIGS:
        return f"the server executes no {variant.format} files"
    verdicts = {str(entry.get("verdict")) for entry in state.verification if entry.get("key") == variant.key}
    if variant.exporter == "loaded" and not verdicts:
        return ""  # the user's own file is what everything else is verified against
    if verdicts != {"valid"}:
        return f"it is {', '.join(sorted(verdicts - {'valid'})) or 'not verified'}"
    return ""


def _suffix(variant: Variant) -> str:
    return "." + variant.path.rpartition(".")[2]


def _signature(state: State, variant: Variant, samples: SampleSet) -> Signature:
    """Of the file where it says so itself (ONNX), else of the samples with their reference outputs."""
    if _suffix(variant) == ".onnx":
        from turnkey.formats.onnx_file import load_graph
        from turnkey.formats.onnx_signature import read_signature

        return read_signature(load_graph(state.build_dir / variant.path))
    outputs = samples.outputs[0]
    if outputs is None:
        raise ConversionError(f"the outputs of {variant.key} are not known", remedy="put verify before export-triton")
    size = next((array.shape[0] for array in samples.inputs[0].values() if array.ndim), None)

    def specs(sample: Sample) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(
                name=name,
                dtype=str(array.dtype),
                shape=("batch", *array.shape[1:]) if array.ndim and array.shape[0] == size else array.shape,
            )
            for name, array in sample.items()
        )

    return Signature(inputs=specs(samples.inputs[0]), outputs=specs(outputs))


def _is_batched(signature: Signature) -> bool:
    """Whether the first axes of all tensors are one symbol."""
    first = [spec.shape[0] if spec.shape else None for spec in (*signature.inputs, *signature.outputs)]
    return bool(first) and isinstance(first[0], str) and len(set(first)) == 1


def _tensor(spec: TensorSpec) -> TensorMetadata:
    shape = tuple(extent if isinstance(extent, int) else VARIES for extent in spec.shape)
    return TensorMetadata(name=spec.name, shape=shape, dtype=spec.dtype)
