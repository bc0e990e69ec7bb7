"""The model that the user gave: how it is called, what it computes, and what names it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from turnkey.errors import ModelError
from turnkey.formats.failure_text import evidence_of
from turnkey.model.call import CallStructure
from turnkey.model.samples import Sample, SampleSet
from turnkey.model.source import SourceModel
from turnkey.navigator.dataloader import is_storable, not_finite
from turnkey.navigator.exceptions import ConfigurationError
from turnkey.navigator.format import Format
from turnkey.runtimes.python import python_outputs
from turnkey.runtimes.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """Hashes and counts of a source under the names of `SourceModel`; empty where nobody asked for them."""

    model_hash: str = ""
    hash_basis: str = ""
    weights_hash: str = ""
    parameter_count: int = 0
    parameter_bytes: int = 0
    data_dependent: bool = False

    @classmethod
    def of(cls, model: SourceModel) -> SourceFacts:
        """Those that the core's form of a source has."""
        return cls(**{each.name: getattr(model, each.name) for each in fields(cls)})


@dataclass(slots=True)
class Source:
    """The model with the structure of its calls. Close it to free what it loaded.

    Attributes:
        model: as the user gave it; a path for ONNX.
        format: torch, onnx or python.
        structure: how a sample becomes a call; None for files.
        output_names: of what `outputs` returns; None is what the model's own result says.
    """

    model: Any
    format: Format
    structure: CallStructure | None
    output_names: tuple[str, ...] | None = None
    _reference: Reference | None = None

    @property
    def can_run(self) -> bool:
        """Whether there is a model: a package that was loaded has none until one is attached."""
        return self.model is not None

    def outputs(self, sample: Sample) -> Sample:
        """What the source computes for one sample, in evaluation mode and in its own precision.

        Raises:
            ModelError: it fails, returns no tensor or none that a file could hold, or gives NaN or infinity.
            ConfigurationError: it has another number of outputs than names were given.
        """
        named = _documented_names(self._raw(sample))
        if self.output_names is not None:
            if len(self.output_names) != len(named):
                raise ConfigurationError(
                    "output_names must name every output once",
                    evidence=f"{len(named)} outputs ({', '.join(named)}), names: {', '.join(self.output_names)}",
                )
            named = dict(zip(self.output_names, named.values(), strict=True))
        if not named:
            raise ModelError("the source model returns no tensor", evidence="there is nothing to compare")
        for name, array in named.items():
            if not is_storable(array):
                raise ModelError(
                    f"output {name!r} of the source model is no array of numbers, booleans or texts",
                    evidence=f"{array.dtype}{list(array.shape)}",
                )
            if count := not_finite(array):
                raise ModelError(
                    f"output {name!r} of the source model holds NaN or infinity",
                    evidence=f"{count} of {array.size} elements",
                    remedy="give samples that the model can compute with",
                )
        return named

    def with_facts(self, samples: Sequence[SampleSet]) -> SourceModel:
        """The source as the core sees it, with its hashes where there is a model."""
        facts = SourceFacts()
        if self.can_run:
            facts = source_facts(self.model, self.format, self.structure, samples[0].inputs[0])
        return self._for_core(samples, facts)

    def bare(self, samples: SampleSet) -> SourceModel:
        """The source without hashes and counts, for what only calls or writes it."""
        return self._for_core([samples], SourceFacts())

    def _for_core(self, samples: Sequence[SampleSet], facts: SourceFacts) -> SourceModel:
        is_file = self.format is Format.ONNX
        return SourceModel(
            module=None if is_file else self.model,
            path=Path(self.model) if is_file and self.can_run else None,
            samples=samples[0],
            further_samples=tuple(samples[1:]),
            class_name=name_of(self.model),
            **asdict(facts),
        )

    def close(self) -> None:
        """Free the session over a source file."""
        if self._reference is not None:
            self._reference.close()
            self._reference = None

    def _raw(self, sample: Sample) -> Sample:
        if self.format is Format.PYTHON:
            assert self.structure is not None, "calls were read from the dataloader"
            try:
                return python_outputs(self.model, self.structure, sample)
            except Exception as error:  # the user's function may raise anything
                raise ModelError(
                    f"the source model {name_of(self.model)} fails on a sample",
                    evidence=evidence_of(error),
                ) from error
        if self._reference is None:
            samples = SampleSet(structure=self.structure, inputs=(sample,), outputs=(None,))
            self._reference = Reference(self.bare(samples))
        return self._reference.outputs(sample, self.structure)


def name_of(model: Any) -> str:
    """What messages call the model."""
    if isinstance(model, str | Path):
        return Path(model).stem
    return str(getattr(model, "__name__", type(model).__name__))


def callable_of(model: Any, kind: Format) -> Callable[..., Any] | None:
    """The function whose parameters tell keywords from arguments; None for files."""
    if kind is Format.ONNX:
        return None
    if kind is Format.TORCH:
        forward: Callable[..., Any] = model.forward
        return forward
    function: Callable[..., Any] = model
    return function


def onnx_input_names(path: Path) -> tuple[str, ...]:
    """Inputs of a file, in order.

    Raises:
        InputError: it is missing or no ONNX file.
    """
    from turnkey.formats.onnx_file import check_file, load_graph
    from turnkey.formats.onnx_signature import read_signature

    check_file(path)
    return tuple(spec.name for spec in read_signature(load_graph(path)).inputs)


def source_facts(model: Any, kind: Format, structure: CallStructure | None, sample: Sample) -> SourceFacts:
    """Hashes and counts of a source; a module is called once for them."""
    if kind is Format.ONNX:
        from turnkey.model.onnx_hash import onnx_hash, weights_hash_of_onnx

        digest, basis = onnx_hash(Path(model))
        weights = weights_hash_of_onnx(Path(model))
        return SourceFacts(model_hash=str(digest), hash_basis=str(basis), weights_hash=str(weights))
    if kind is Format.PYTHON:
        return SourceFacts(model_hash=_hash_of_function(model), hash_basis="code")
    from turnkey.model.hash import replay_hash, weights_hash
    from turnkey.model.replay import replay
    from turnkey.model.torch_bridge import is_materialized

    assert structure is not None, "calls were read from the dataloader"
    silent = io.StringIO()
    with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        played = replay(model, structure, sample)
    hashed = replay_hash(played)
    parameters = [each for each in model.parameters() if is_materialized(each)]
    return SourceFacts(
        model_hash=str(hashed.digest),
        hash_basis=str(hashed.basis),
        weights_hash=str(weights_hash(model)),
        parameter_count=sum(each.numel() for each in parameters),
        parameter_bytes=sum(each.numel() * each.element_size() for each in parameters),
        data_dependent=bool(played.data_reads),
    )


def fingerprint(source: Source, samples: Sequence[SampleSet]) -> str:
    """What says that two sources are the same: model and weights (where it is at hand), samples with their outputs."""
    digest = hashlib.sha256()
    if source.can_run:
        facts = source.with_facts(samples)
        digest.update(f"{facts.model_hash} {facts.weights_hash}".encode())
    for each in samples:
        for sample in (*each.inputs, *(outputs for outputs in each.outputs if outputs is not None)):
            for name, array in sample.items():
                digest.update(f"{name} {array.dtype} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _documented_names(outputs: Sample) -> Sample:
    """``output__0`` … for results without names of their own; keys of mappings and of ONNX files stay."""
    if not all(name == "output" or name.startswith("output.") for name in outputs):
        return outputs
    return {f"output__{index}": array for index, array in enumerate(outputs.values())}


def _hash_of_function(function: Any) -> str:
    """Of the byte code where there is any; what a closure holds shows in the outputs, which are compared too."""
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    text = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__qualname__)}"
    content = b"" if code is None else code.co_code + repr(code.co_names).encode()
    return hashlib.sha256(text.encode() + content).hexdigest()
