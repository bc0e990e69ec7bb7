"""Format ``jax``: a live function that JAX can trace, as StableHLO (``.stablehlo``), which loads without its source.

The batch axis is free where JAX can trace the function with a symbol for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from turnkey.errors import ConversionError
from turnkey.formats.failure_text import evidence_of, one_line
from turnkey.formats.finished_file import finished_file
from turnkey.formats.format import Conversion, ConvertRequest
from turnkey.formats.live_source import live_function
from turnkey.formats.stored_call import StoredCall, write_stored_call
from turnkey.model.call import flatten_result
from turnkey.model.samples import Sample
from turnkey.model.signature import Signature, TensorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class JaxSettings:
    """``dynamic``: leave the batch axis free; without it every extent is that of the first sample."""

    dynamic: bool = True


class Jax:
    """A live function as StableHLO."""

    name = "jax"
    stored_as = "jax"
    converts_from = ("python",)
    suffix = ".stablehlo"
    requires = ("jax",)
    install = "pip install 'turnkey[jax]'"
    settings_type = JaxSettings

    def convert(self, request: ConvertRequest) -> Conversion:
        """Write ``request.source`` to ``request.path``; settings are `JaxSettings`.

        Raises:
            ConversionError: there is no live function, or JAX cannot trace it.
        """
        function, structure, sample = live_function(request)
        names = tuple(dict.fromkeys(structure.names))
        output_names: list[str] = []

        def by_position(*arrays: Any) -> tuple[Any, ...]:
            args, kwargs = structure.bind(dict(zip(names, arrays, strict=True)))
            named = flatten_result(function(*args, **kwargs), is_tensor=lambda value: hasattr(value, "shape"))
            output_names[:] = named
            return tuple(named.values())

        exported, notes = self._traced(by_position, names, sample, dynamic=request.settings.dynamic)
        with finished_file(request.path) as unfinished:
            unfinished.write_bytes(bytes(exported.serialize()))
        signature = Signature(
            inputs=_specs(names, exported.in_avals), outputs=_specs(tuple(output_names), exported.out_avals)
        )
        companion = write_stored_call(StoredCall(signature=signature), request.path)
        return Conversion(path=request.path, exporter="jax.export", notes=notes, companions=(companion,))

    def _traced(
        self, function: Any, names: tuple[str, ...], sample: Sample, *, dynamic: bool
    ) -> tuple[Any, tuple[str, ...]]:
        import jax

        def export(batch: Any) -> Any:
            arrays = [sample[name] for name in names]
            shapes = [
                (batch, *array.shape[1:]) if batch is not None and _is_batched(array, sample) else array.shape
                for array in arrays
            ]
            given = [jax.ShapeDtypeStruct(shape, array.dtype) for shape, array in zip(shapes, arrays, strict=True)]
            return jax.export.export(jax.jit(function))(*given)

        notes: tuple[str, ...] = ()
        if dynamic:
            (batch,) = jax.export.symbolic_shape("batch")
            try:
                return export(batch), notes
            except Exception as error:  # noqa: BLE001 - a function that asks for its batch size raises what it likes
                notes = (f"free batch axis refused: {one_line(error)}",)
        try:
            return export(None), notes
        except Exception as error:
            raise ConversionError(
                "JAX cannot trace the function",
                evidence=evidence_of(error),
                remedy="write it with jax.numpy, without branches on values",
            ) from error


def _is_batched(array: Any, sample: Sample) -> bool:
    """Whether axis 0 is the batch: the extent of the first input's."""
    first = next((other for other in sample.values() if other.ndim), None)
    return bool(array.ndim and first is not None and array.shape[0] == first.shape[0])


def _specs(names: tuple[str, ...], avals: Any) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            name=name,
            dtype=str(aval.dtype),
            shape=tuple(extent if isinstance(extent, int) else str(extent) for extent in aval.shape),
        )
        for name, aval in zip(names, avals, strict=True)
    )


FORMAT = Jax()
