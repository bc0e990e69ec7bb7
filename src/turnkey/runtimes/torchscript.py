"""TorchScript: executes traces and scripts. No options.

The first calls of a TorchScript module are slow, since it specialises its graph to what it sees: warm-up covers them.
"""

from __future__ import annotations

import warnings

from turnkey.errors import ConversionError
from turnkey.formats.failure_text import evidence_of
from turnkey.runtimes.options import refuse_unknown
from turnkey.runtimes.runtime import LoadRequest, Runtime
from turnkey.runtimes.stored_torch import StoredTorchRunner, stored_file


class TorchScriptRuntime:
    """The runtime ``torchscript``."""

    name = "torchscript"
    aliases: tuple[str, ...] = ()
    executes: tuple[str, ...] = ("torchscript",)
    devices: tuple[str, ...] = ("cpu", "cuda")
    requires: tuple[str, ...] = ("torch",)
    install = "pip install 'torch>=2.6,<2.14'"
    compiles = False

    def load(self, request: LoadRequest) -> StoredTorchRunner:
        """The module of the file, on its device.

        Raises:
            UsageError: there is no file, an option, or a device that is not there.
            ArtifactError: it is not known how the file is called.
            ConversionError: torch cannot read it.
        """
        refuse_unknown(self.name, request.options, ())
        path = stored_file(self.name, request, made_by="torchscript-trace")
        import torch

        from turnkey.formats.stored_call import read_stored_call

        stored = read_stored_call(path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch calls TorchScript deprecated at every use
                module = torch.jit.load(str(path), map_location=request.device)
        except (RuntimeError, ValueError) as error:
            raise ConversionError(
                f"torch cannot read {path.name}",
                evidence=evidence_of(error),
                remedy="make it again with this torch: convert --to torchscript",
            ) from error
        return StoredTorchRunner(module, stored, threads=request.threads, device=request.device)


RUNTIME: Runtime = TorchScriptRuntime()
