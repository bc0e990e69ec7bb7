"""Formats ``torch-exportedprogram-int8-static`` and ``-int8-dynamic``: an ExportedProgram quantised by torchao.

Post-training quantisation of the captured graph (PT2E) with torchao's rules for x86: weights int8 per channel,
activations uint8 per tensor, whose ranges come from the captured samples (static) or from each call (dynamic, linear
layers alone). The program computes with quantise/dequantise operators, slowly; what makes it fast is compiling it, as
``torch-aoti-int8-static`` and ``torch-aoti-int8-dynamic``.
"""

from __future__ import annotations

from dataclasses import dataclass

from turnkey.errors import ConversionError
from turnkey.formats.format import Conversion, ConvertRequest
from turnkey.host import has_vnni

_SEVEN_BITS = ("activations of 7 bits: this processor's 8-bit products saturate without VNNI",)


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchAoSettings:
    """How to quantise.

    Attributes:
        reduce_range: activations of 7 bits, for processors without VNNI, whose 8-bit products saturate once the
            program is compiled; None asks the processor at hand.
        calibration_samples: at most so many captured samples set the ranges.
    """

    reduce_range: bool | None = None
    calibration_samples: int = 32


@dataclass(frozen=True, slots=True)
class TorchAoInt8:
    """An ExportedProgram with int8 weights and activations; ``mode`` is ``static`` or ``dynamic``."""

    mode: str

    stored_as = "torch-exportedprogram"
    converts_from = ("torch-exportedprogram",)
    suffix = ".pt2"
    requires = ("torch", "torchao")
    install = "pip install 'turnkey[quantize]'"
    settings_type = TorchAoSettings

    @property
    def name(self) -> str:
        return f"torch-exportedprogram-int8-{self.mode}"

    def convert(self, request: ConvertRequest) -> Conversion:
        """Quantise the program ``request.parent``; settings are `TorchAoSettings`.

        Raises:
            ConversionError: there is no program, nothing to calibrate with, or torchao cannot quantise it.
        """
        from turnkey.formats.pt2e import quantised_by_x86_rules  # torch is loaded only by who converts
        from turnkey.formats.torch_program import read_program, recaptured, write_program

        if request.parent is None:
            raise ConversionError(
                "there is no ExportedProgram to quantise",
                remedy=f"turnkey -i SCRIPT.py discover convert --to {self.name}",
            )
        settings: TorchAoSettings = request.settings
        reduce_range = not has_vnni() if settings.reduce_range is None else settings.reduce_range
        program, call = read_program(request.parent)
        quantised = quantised_by_x86_rules(
            program.module(),
            call.signature,
            request.samples[: settings.calibration_samples],
            is_dynamic=self.mode == "dynamic",
            reduce_range=reduce_range,
        )
        companion = write_program(recaptured(quantised.module, program, call), call, request.path)
        return Conversion(
            path=request.path,
            exporter="torchao-pt2e",
            notes=(quantised.sentence, *(_SEVEN_BITS if reduce_range else ())),
            companions=(companion,),
            facts={"quantised_operators": quantised.operators},
        )


STATIC = TorchAoInt8("static")
DYNAMIC = TorchAoInt8("dynamic")
