"""ExportedProgram: executes ``.pt2`` files of ``torch.export``, operator by operator. No options."""

from __future__ import annotations

from turnkey.runtimes.options import refuse_unknown
from turnkey.runtimes.runtime import LoadRequest, Runtime
from turnkey.runtimes.stored_torch import StoredTorchRunner, stored_file


class ExportedProgramRuntime:
    """The runtime ``torch-exportedprogram``."""

    name = "torch-exportedprogram"
    aliases: tuple[str, ...] = ()
    executes: tuple[str, ...] = ("torch-exportedprogram",)
    devices: tuple[str, ...] = ("cpu", "cuda")
    requires: tuple[str, ...] = ("torch",)
    install = "pip install 'torch>=2.6,<2.14'"
    compiles = False

    def load(self, request: LoadRequest) -> StoredTorchRunner:
        """The program of the file as a module, on its device.

        Raises:
            UsageError: there is no file, an option, or a device that is not there.
            ArtifactError: it is not known how the file is called.
            ConversionError: torch cannot read it.
        """
        refuse_unknown(self.name, request.options, ())
        path = stored_file(self.name, request, made_by="torch-exportedprogram")
        from turnkey.formats.torch_program import read_program

        program, stored = read_program(path)
        if request.device != "cpu":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, request.device)
        return StoredTorchRunner(program.module(), stored, threads=request.threads, device=request.device)


RUNTIME: Runtime = ExportedProgramRuntime()
