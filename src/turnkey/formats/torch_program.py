"""ExportedPrograms: captured from a live module, written, read, and made anew from a changed graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from turnkey.errors import ConversionError
from turnkey.formats.dynamic_axes import STATIC, DynamicAxes
from turnkey.formats.export_plan import plan_export, plan_static
from turnkey.formats.export_trial import first_agreeing, signature_of
from turnkey.formats.failure_text import one_line
from turnkey.formats.finished_file import finished_file
from turnkey.formats.format import Conversion, ConvertRequest
from turnkey.formats.stored_call import StoredCall, read_stored_call, write_stored_call
from turnkey.formats.torch_call import tensors_for
from turnkey.model.samples import Sample
from turnkey.model.source import SourceModel
from turnkey.model.torch_bridge import array_of, evaluation_mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """A program and how it is called; attempts and notes as in `turnkey.formats.format.Conversion`."""

    program: torch.export.ExportedProgram
    call: StoredCall
    attempts: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]


class ProgramCompiler(NamedTuple):
    """Who compiles programs, in words: what the result is bound to, and what to do where it fails."""

    exporter: str
    title: str
    bound_to: str
    otherwise: str


def capture(source: SourceModel, *, dynamic: bool, strict: bool = False) -> Captured:
    """Capture one call of a live module with tensors by position.

    Raises:
        ModelError: the module fails on its own captured inputs.
        ConversionError: torch.export cannot capture it.
    """
    plan = plan_export(source, wanted=STATIC) if dynamic else plan_static(source)

    def make(axes: DynamicAxes) -> torch.export.ExportedProgram:
        # Dim.DYNAMIC: torch finds out how axes depend on each other, and refuses one that it would have to fix.
        free = tuple(
            dict.fromkeys(axes.symbols[name], torch.export.Dim.DYNAMIC) if axes.symbols.get(name) else None
            for name in plan.call.input_names
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.export(
                plan.call,
                tensors_for(plan.call, plan.example(axes)),
                dynamic_shapes={"tensors": free} if axes else None,
                strict=strict,
            )

    def run(program: torch.export.ExportedProgram, sample: Sample) -> Sample:
        results = program.module()(*tensors_for(plan.call, sample))
        return {name: array_of(result) for name, result in zip(plan.output_names, results, strict=True)}

    with evaluation_mode(plan.call):
        trial = first_agreeing(plan, make, run, exporter="torch.export", class_name=source.class_name)
    call = StoredCall(signature=signature_of(plan, trial.axes))
    return Captured(program=trial.made, call=call, attempts=trial.attempts, notes=trial.notes)


def write_program(program: torch.export.ExportedProgram, call: StoredCall, path: Path) -> Path:
    """Write a program and, beside it, how it is called; returns the name of the latter."""
    with finished_file(path) as unfinished:
        torch.export.save(program, str(unfinished))
    return write_stored_call(call, path)


def read_program(path: Path) -> tuple[torch.export.ExportedProgram, StoredCall]:
    """A program and how it is called.

    Raises:
        ArtifactError: it is not known how it is called.
        ConversionError: torch cannot read it.
    """
    # Programs that torchao quantised hold operators that this import registers.
    import torch.ao.quantization.fx._decomposed

    call = read_stored_call(path)
    try:
        return torch.export.load(str(path)), call
    except Exception as error:  # a zip of JSON and weights of another version fails in many ways
        raise ConversionError(
            f"torch cannot read {path.name}",
            evidence=one_line(error),
            remedy="make it again with this torch: convert --to torch-exportedprogram",
        ) from error


def compiled(
    request: ConvertRequest, *, name: str, compiler: ProgramCompiler, compile: Callable[[Any, Path], None]
) -> Conversion:
    """The program of a request, compiled for this machine and written with how it is called.

    Args:
        name: of the format.
        compile: writes the compiled form of a program to a path; raises whatever its library raises.

    Raises:
        ConversionError: there is no program, or it cannot be compiled.
    """
    if request.parent is None:
        raise ConversionError(
            "there is no ExportedProgram to compile",
            remedy=f"turnkey -i SCRIPT.py discover convert --to {name}",
        )
    program, call = read_program(request.parent)
    try:
        with finished_file(request.path) as unfinished, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(program, unfinished)
    except Exception as error:
        raise ConversionError(
            f"{compiler.title} cannot compile {request.parent.name}",
            evidence=one_line(error, limit=2000),
            remedy=compiler.otherwise,
        ) from error
    return Conversion(
        path=request.path,
        exporter=compiler.exporter,
        notes=(f"host-specific: {compiler.bound_to}",),
        companions=(write_stored_call(call, request.path),),
    )


def recaptured(module: torch.fx.GraphModule, program: torch.export.ExportedProgram, call: StoredCall) -> Any:
    """A program from a module that was made by changing that of another program, with the same free axes."""
    free = tuple(
        {axis: torch.export.Dim.DYNAMIC for axis, extent in enumerate(spec.shape) if isinstance(extent, str)} or None
        for spec in call.signature.inputs
    )
    if program.example_inputs is None:
        raise ConversionError("the program holds no example inputs", remedy="convert --to torch-exportedprogram")
    args, _ = program.example_inputs
    shapes = {"tensors": free} if any(free) else None
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(_ByPosition(module), args, dynamic_shapes=shapes, strict=False)


class _ByPosition(torch.nn.Module):  # type: ignore[misc]  # torch is not followed
    """A graph's module under a name for its inputs, by which free axes can be told."""

    def __init__(self, module: torch.fx.GraphModule) -> None:
        super().__init__()
        self.module = module
        self.training = False  # what torch.export returned refuses to be told

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        results: tuple[torch.Tensor, ...] = self.module(*tensors)
        return results
