"""Tracing and scripting a live module, and writing what comes out with the way in which it is called.

Trade-offs: torch keeps the type of a class that it failed to compile, half made, for the life of the process, and then
answers "Can't redefine method: forward" instead of the reason, for every model that holds such a module. Such types
are taken out of its private store again; a torch that has no store of that name keeps them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from turnkey.errors import ConversionError
from turnkey.formats.dynamic_axes import STATIC, DynamicAxes
from turnkey.formats.export_plan import ExportPlan, plan_export
from turnkey.formats.export_trial import Trial, first_agreeing, signature_of
from turnkey.formats.failure_text import evidence_of, one_line
from turnkey.formats.finished_file import finished_file
from turnkey.formats.format import Conversion
from turnkey.formats.frozen_values import frozen_note, frozen_places
from turnkey.formats.stored_call import StoredCall, write_stored_call
from turnkey.formats.torch_call import tensors_for
from turnkey.formats.torchscript import TorchScriptSettings
from turnkey.model.call import CallStructure
from turnkey.model.samples import Sample
from turnkey.model.source import SourceModel
from turnkey.model.torch_bridge import array_of, arrays_of_result, evaluation_mode, tensors_of


def trace(source: SourceModel, path: Path, settings: TorchScriptSettings) -> Conversion:
    """Write the operations of one call of the module. Raises as `TorchScript.convert` does."""
    plan = plan_export(source, wanted=STATIC)
    frozen: set[str] = set()

    def make(axes: DynamicAxes) -> Any:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            made = torch.jit.trace(
                plan.call, tensors_for(plan.call, plan.example(axes)), check_trace=False, strict=settings.strict
            )
            if settings.freeze:
                made = torch.jit.freeze(made)
        frozen.update(frozen_places(caught))
        return made

    def run(made: Any, sample: Sample) -> Sample:
        results = made(*tensors_for(plan.call, sample))
        return {name: array_of(result) for name, result in zip(plan.output_names, results, strict=True)}

    with evaluation_mode(plan.call):
        trial = first_agreeing(plan, make, run, exporter="torch.jit.trace", class_name=source.class_name)
    notes = [*frozen_note(frozen)]
    if source.data_dependent:
        notes.append("control flow depends on data: the trace holds the branches of the captured inputs alone")
    return _written(path, trial, plan, structure=None, notes=notes)


def script(source: SourceModel, path: Path, settings: TorchScriptSettings) -> Conversion:
    """Write the module as compiled from its source, called as the model itself is. Raises as `TorchScript.convert`."""
    plan = plan_export(source, wanted=STATIC)
    structure = source.samples.structure
    if structure is None or not structure.is_portable or structure.holds_cache:
        raise ConversionError(
            f"{source.class_name} is called with objects that a script cannot take",
            evidence="an argument is neither tensor nor plain data",
            remedy="convert --to torchscript-trace",
        )
    bound: CallStructure = structure

    def run(made: Any, sample: Sample) -> Sample:
        args, kwargs = bound.bind(tensors_of(sample))
        return arrays_of_result(made(*args, **kwargs))

    with evaluation_mode(plan.call):
        compiled = _compiled(plan.call.module, class_name=source.class_name, freeze=settings.freeze)
        trial = first_agreeing(
            plan, lambda _: compiled, run, exporter="torch.jit.script", class_name=source.class_name
        )
    return _written(path, trial, plan, structure=bound, notes=[])


def _compiled(module: torch.nn.Module, *, class_name: str, freeze: bool) -> Any:
    """The module compiled from its source, in which no extent is fixed.

    Raises:
        ConversionError: TorchScript refuses the source; the evidence has its words and the line.
    """
    try:
        with warnings.catch_warnings(), _half_made_types_forgotten():
            warnings.simplefilter("ignore")  # torch calls TorchScript deprecated at every use
            made = torch.jit.script(module)
            return torch.jit.freeze(made) if freeze else made
    except Exception as error:
        raise ConversionError(
            f"{class_name} cannot be exported by torch.jit.script: {one_line(error)}",
            evidence=evidence_of(error),
            remedy="convert --to torchscript-trace, which needs no source, or --to torch-exportedprogram",
        ) from error


@contextmanager
def _half_made_types_forgotten() -> Iterator[None]:
    try:
        yield
    except Exception:
        store = getattr(torch.jit._recursive, "concrete_type_store", None)
        if store is not None:
            for types in store.type_store.values():
                types[:] = [each for each in types if each in store.methods_compiled]
        raise


def _written(
    path: Path, trial: Trial[Any], plan: ExportPlan, *, structure: CallStructure | None, notes: list[str]
) -> Conversion:
    with finished_file(path) as unfinished, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(trial.made, str(unfinished))
    call = StoredCall(signature=signature_of(plan, trial.axes), structure=structure)
    return Conversion(
        path=path,
        exporter=str(trial.attempts[-1]["exporter"]),
        notes=(*trial.notes, *notes),
        attempts=trial.attempts,
        companions=(write_stored_call(call, path),),
    )
