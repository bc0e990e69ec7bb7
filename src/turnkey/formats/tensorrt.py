"""Formats ``tensorrt`` and ``tensorrt-fp16``: an ONNX file compiled to an engine for the NVIDIA GPU at hand.

Free dimensions get a range: the batch from 1 to ``max_batch``, others from 1 to four times the captured extent; the
engine is tuned for the captured extents. Engines are for one kind of GPU and one version of TensorRT.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkey.errors import ConversionError
from turnkey.formats.finished_file import finished_file
from turnkey.formats.format import Conversion, ConvertRequest
from turnkey.formats.stored_call import StoredCall, write_stored_call

if TYPE_CHECKING:
    from turnkey.model.samples import Sample
    from turnkey.model.signature import Signature, TensorSpec

_GROWTH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRtSettings:
    """How to build.

    Attributes:
        max_batch: largest batch of an engine whose batch is free.
        workspace_bytes: memory that the builder may use for tactics.
        optimization_level: 0 (fast build) to 5 (fast engine).
        tf32: let float32 products round to 10 bits of mantissa.
    """

    max_batch: int = 64
    workspace_bytes: int = 8 << 30
    optimization_level: int = 3
    tf32: bool = False


@dataclass(frozen=True, slots=True)
class TensorRt:
    """An engine; ``is_half`` lets it compute in float16."""

    is_half: bool = False

    stored_as = "tensorrt"
    converts_from = ("onnx",)
    suffix = ".plan"
    requires = ("tensorrt", "onnx")
    install = "pip install tensorrt"
    settings_type = TensorRtSettings

    @property
    def name(self) -> str:
        return "tensorrt-fp16" if self.is_half else "tensorrt"

    def convert(self, request: ConvertRequest) -> Conversion:
        """Build an engine of the ONNX file ``request.parent``; settings are `TensorRtSettings`.

        Raises:
            InputError: the parent is not a readable ONNX file.
            ConversionError: there is no ONNX file or no sample, or TensorRT cannot parse or build it.
        """
        from turnkey.formats.onnx_file import load_graph
        from turnkey.formats.onnx_signature import read_signature

        if request.parent is None or not request.samples:
            raise ConversionError(
                f"{self.name} is built of an ONNX file and its samples",
                remedy=f"turnkey -i SCRIPT.py discover convert --to {self.name}",
            )
        signature = read_signature(load_graph(request.parent))
        engine, version = self._engine(request.parent, signature, request.samples[0], request.settings)
        with finished_file(request.path) as unfinished:
            unfinished.write_bytes(engine)
        return Conversion(
            path=request.path,
            exporter=f"tensorrt-{version}",
            notes=("host-specific: for this kind of GPU and this version of TensorRT",),
            companions=(write_stored_call(StoredCall(signature=signature), request.path),),
        )

    def _engine(
        self, parent: Path, signature: Signature, sample: Sample, settings: TensorRtSettings
    ) -> tuple[bytes, str]:
        import tensorrt as trt

        builder = trt.Builder(trt.Logger(trt.Logger.WARNING))
        network = builder.create_network(0)
        parser = trt.OnnxParser(network, trt.Logger(trt.Logger.WARNING))
        if not parser.parse_from_file(str(parent)):
            errors = "\n".join(str(parser.get_error(index)) for index in range(parser.num_errors))
            raise ConversionError(
                f"TensorRT cannot parse {parent.name}",
                evidence=errors[:2000],
                remedy="ONNX Runtime leaves such nodes to CUDA: benchmark --runtime tensorrt --device cuda",
            )
        configuration = builder.create_builder_config()
        configuration.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, settings.workspace_bytes)
        configuration.builder_optimization_level = settings.optimization_level
        if not settings.tf32:
            configuration.clear_flag(trt.BuilderFlag.TF32)
        if self.is_half:
            configuration.set_flag(trt.BuilderFlag.FP16)
        configuration.add_optimization_profile(_profile(builder, signature, sample, settings.max_batch))
        engine = builder.build_serialized_network(network, configuration)
        if engine is None:
            raise ConversionError(
                f"TensorRT cannot build an engine of {parent.name}",
                evidence="its own messages are in the log of this conversion",
                remedy="convert --to tensorrt --set tensorrt.max_batch::1",
            )
        return bytes(engine), str(trt.__version__)


def _profile(builder: Any, signature: Signature, sample: Sample, max_batch: int) -> Any:
    """Ranges of the free dimensions, tuned for the sample."""
    profile = builder.create_optimization_profile()
    for spec in signature.inputs:
        if any(isinstance(extent, str) for extent in spec.shape):
            profile.set_shape(spec.name, *_ranges(spec, sample[spec.name].shape, max_batch))
    return profile


def _ranges(
    spec: TensorSpec, captured: tuple[int, ...], max_batch: int
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Smallest, usual and largest shape of an input."""
    least, most = [], []
    for axis, (extent, have) in enumerate(zip(spec.shape, captured, strict=True)):
        is_free = isinstance(extent, str)
        least.append(1 if is_free else have)
        most.append((max(max_batch, have) if axis == 0 else _GROWTH * have) if is_free else have)
    return tuple(least), tuple(captured), tuple(most)


FORMAT = TensorRt()
FLOAT16 = TensorRt(is_half=True)
