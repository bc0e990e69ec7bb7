"""Formats ``executorch`` and ``executorch-int8``: a program for ExecuTorch (``.pte``), delegated to XNNPACK.

What XNNPACK does not take runs on ExecuTorch's portable kernels, which are slow: how much that is, is said. Memory is
planned beforehand, so that every extent is that of the captured inputs.
"""

from __future__ import annotations

from dataclasses import dataclass

from turnkey.formats.format import Conversion, ConvertRequest
from turnkey.formats.live_source import live_module


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecuTorchSettings:
    """How to lower.

    Attributes:
        delegate: to XNNPACK; without it every operator runs on portable kernels.
        calibration_samples: at most so many captured samples set the ranges of int8 activations.
    """

    delegate: bool = True
    calibration_samples: int = 32


@dataclass(frozen=True, slots=True)
class ExecuTorch:
    """A live module as a program for ExecuTorch; ``is_int8`` quantises it before, by XNNPACK's rules."""

    is_int8: bool = False

    stored_as = "executorch"
    converts_from = ("torch",)
    suffix = ".pte"
    requires = ("torch", "executorch")
    install = "pip install 'turnkey[executorch]'"
    settings_type = ExecuTorchSettings

    @property
    def name(self) -> str:
        return "executorch-int8" if self.is_int8 else "executorch"

    def convert(self, request: ConvertRequest) -> Conversion:
        """Write ``request.source`` to ``request.path``; settings are `ExecuTorchSettings`.

        Raises:
            ModelError: the module fails on its own captured inputs.
            ConversionError: there is no live module, torch.export cannot capture it, or ExecuTorch cannot lower it.
        """
        from turnkey.formats.executorch_lowering import lower  # torch is loaded only by who exports

        source = live_module(request, name=self.name)
        settings: ExecuTorchSettings = request.settings
        samples = (request.samples or source.samples.inputs)[: settings.calibration_samples]
        return lower(source, request.path, delegate=settings.delegate, calibrate=samples if self.is_int8 else ())


FORMAT = ExecuTorch()
INT8 = ExecuTorch(is_int8=True)
