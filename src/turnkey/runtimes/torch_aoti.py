"""AOTInductor: executes its packages, which are machine code. No options.

Trust: loading a package runs its code; load those that you made.
"""

from __future__ import annotations

from turnkey.errors import ConversionError
from turnkey.formats.failure_text import evidence_of
from turnkey.runtimes.options import refuse_unknown
from turnkey.runtimes.runtime import LoadRequest, Runtime
from turnkey.runtimes.stored_torch import StoredTorchRunner, stored_file


class AotInductorRuntime:
    """The runtime ``torch-aoti``."""

    name = "torch-aoti"
    aliases: tuple[str, ...] = ("aotinductor",)
    executes: tuple[str, ...] = ("torch-aoti",)
    devices: tuple[str, ...] = ("cpu",)
    requires: tuple[str, ...] = ("torch",)
    install = "pip install 'torch>=2.6,<2.14'"
    compiles = False

    def load(self, request: LoadRequest) -> StoredTorchRunner:
        """The package of the file.

        Raises:
            UsageError: there is no file, or an option.
            ArtifactError: it is not known how the package is called.
            ConversionError: it cannot be loaded here.
        """
        refuse_unknown(self.name, request.options, ())
        path = stored_file(self.name, request, made_by="torch-aoti")
        from torch._inductor import aoti_load_package

        from turnkey.formats.stored_call import read_stored_call

        stored = read_stored_call(path)
        try:
            package = aoti_load_package(str(path))
        except Exception as error:  # a zip, a linker and C++ fail in many ways
            raise ConversionError(
                f"torch cannot load the package {path.name}",
                evidence=evidence_of(error),
                remedy="make it again on this machine: convert --to torch-aoti",
            ) from error
        return StoredTorchRunner(package, stored, threads=request.threads)


RUNTIME: Runtime = AotInductorRuntime()
