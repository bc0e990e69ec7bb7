"""Formats ``torch-aoti``, ``torch-aoti-int8-static`` and ``-int8-dynamic``: ExportedPrograms compiled by AOTInductor.

The package holds machine code for this kind of processor and loads without compiling.

Trust: loading a package runs its code; load those that you made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from turnkey.formats.format import Conversion, ConvertRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class AotiSettings:
    """How to compile.

    Attributes:
        freezing: weights become constants that are folded and packed for the processor's matrix library.
        max_autotune: try several implementations of each matrix product.
        threads: fixed in the code; 0 asks at run time, so that one package serves every number of threads.
    """

    freezing: bool = True
    max_autotune: bool = False
    threads: int = 0


@dataclass(frozen=True, slots=True)
class AotInductor:
    """A package of AOTInductor; ``special`` is what follows in the name of the program and of the package."""

    special: str = ""

    stored_as = "torch-aoti"
    suffix = ".pt2"
    requires = ("torch",)
    install = "pip install 'torch>=2.6,<2.14'"
    settings_type = AotiSettings

    @property
    def name(self) -> str:
        return f"torch-aoti{self.special}"

    @property
    def converts_from(self) -> tuple[str, ...]:
        return (f"torch-exportedprogram{self.special}",)

    def convert(self, request: ConvertRequest) -> Conversion:
        """Compile the program ``request.parent``; settings are `AotiSettings`.

        Raises:
            ConversionError: there is no program, or inductor or the C++ compiler fails.
        """
        from turnkey.formats.torch_program import ProgramCompiler, compiled  # torch is loaded only by who converts

        compiler = ProgramCompiler(
            exporter="aotinductor",
            title="AOTInductor",
            bound_to="machine code for this kind of processor",
            otherwise="convert --to torch-aoti --set torch-aoti.freezing::false; see the log for the compiler",
        )
        return compiled(request, name=self.name, compiler=compiler, compile=partial(_package, request.settings))


def _package(settings: AotiSettings, program: Any, path: Path) -> None:
    import torch
    from torch._inductor import aoti_compile_and_package

    configuration = {
        "freezing": settings.freezing,
        "max_autotune": settings.max_autotune,
        "cpp.dynamic_threads": settings.threads == 0,
        **({"cpp.threads": settings.threads} if settings.threads else {}),
    }
    with torch.no_grad():  # freezing is for inference alone
        aoti_compile_and_package(program, package_path=str(path), inductor_configs=configuration)


FORMAT = AotInductor()
INT8_STATIC = AotInductor("-int8-static")
INT8_DYNAMIC = AotInductor("-int8-dynamic")
