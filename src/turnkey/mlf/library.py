"""Reading a tarball back: metadata, graph, parameters, model, sources. Nothing here compiles or runs anything."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkey.errors import InputError
from turnkey.mlf import archive, dtypes, metadata
from turnkey.mlf.archive import Archive
from turnkey.mlf.failures import failure
from turnkey.mlf.graph_json import Graph
from turnkey.mlf.graph_reader import read_graph
from turnkey.mlf.interface_tensors import interface_tensors
from turnkey.mlf.params import load_params
from turnkey.mlf.source_model import whole_model
from turnkey.mlf.tensor import Tensor

if TYPE_CHECKING:
    import numpy as np
    from onnx import ModelProto

    from turnkey.mlf.runner import ModuleRunner
    from turnkey.mlf.verification import Verified

_SOURCE = re.compile(r"^codegen/[^/]+/src/[^/]+\.(c|cc|cpp)$")


@dataclass(frozen=True, slots=True)
class Module:
    """One module of a tarball."""

    library: Library
    metadata: metadata.ModuleMetadata

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """In the order of the struct."""
        return interface_tensors(self, "inputs")

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return interface_tensors(self, "outputs")

    @property
    def memory(self) -> Mapping[str, Any]:
        """The memory summary, in its newest form."""
        if self.metadata.operator_memory:
            return self.metadata.operator_memory
        return {
            "sids": list(self.metadata.sids),
            "functions": {
                "main": list(self.metadata.main),
                "operator_functions": list(self.metadata.operator_functions),
            },
        }

    @property
    def plan(self) -> Mapping[str, Any]:
        """The plan of the workspace as the exporter recorded it; empty for tarballs of others."""
        found: Mapping[str, Any] = self.metadata.turnkey.get("plan", {})
        return found

    @property
    def abi(self) -> Mapping[str, Any]:
        """How to call it, as the exporter recorded it; empty for tarballs of others."""
        found: Mapping[str, Any] = self.metadata.turnkey.get("abi", {})
        return found

    @property
    def computes_on_bytes(self) -> bool:
        """Whether kernels of ours compute on quantised values, whose roundings others may take one step apart."""
        kinds = [str(kernel.get("kind", "")) for kernel in self.metadata.turnkey.get("kernels", ())]
        return any(kind.startswith("quantized") and kind != "quantized_border" for kind in kinds)

    @property
    def graph(self) -> Graph | None:
        """The executor's graph; None if the tarball has none.

        Raises:
            MlfArtifactError: it is there and wrong.
        """
        path = self._first(
            f"executor-config/graph/{self.name}.graph",
            "executor-config/graph/graph.json",
            "runtime-config/graph/graph.json",
        )
        return read_graph(self.library.archive.json(path), path=path) if path else None

    def parameters(self) -> dict[str, np.ndarray]:
        """Weights by name; empty if the tarball has none."""
        path = self._first(f"parameters/{self.name}.params", f"parameters/{self.metadata.model_name}.params")
        return load_params(self.library.archive.content(path)) if path else {}

    def onnx(self) -> ModelProto:
        """The model as it was compiled, with its weights.

        Raises:
            MlfArtifactError: the tarball holds no ONNX model, or its weights lie outside of the ``.params`` file.
        """
        stored = self._first(f"parameters/{self.name}.params", f"parameters/{self.metadata.model_name}.params")
        return whole_model(
            self.library.archive.content(f"src/{self.name}.onnx"),
            self.library.archive.content(stored) if stored else b"",
            path=f"src/{self.name}.onnx",
        )

    def sources(self) -> dict[str, str]:
        """C sources and headers by path: all of a tarball of one module, else those under this module's name."""
        mine = {}
        alone = len(self.library.modules) == 1
        for path in self.library.archive.files:
            leaf = path.rpartition("/")[2]
            own = alone or leaf.startswith((f"{self.name}_lib", f"tvmgen_{self.name}."))
            if (_SOURCE.match(path) or path.startswith("codegen/host/include/")) and own:
                mine[path] = self.library.archive.text(path)
        return mine

    def samples(self) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """Stored sample inputs with the reference's outputs.

        Raises:
            MlfArtifactError: a file's size is not that of its tensor.
        """
        found = []
        number = 0
        while any(path.startswith(f"samples/{self.name}/{number}/") for path in self.library.archive.files):
            base = f"samples/{self.name}/{number}"
            found.append((self._sample(base, "in", self.inputs), self._sample(base, "out", self.outputs)))
            number += 1
        return found

    def build(
        self, *, cc: str | None = None, cflags: Sequence[str] | None = None, sanitize: bool = False
    ) -> ModuleRunner:
        """Compile the C sources (or take an equal earlier build) and load the result.

        This runs the code of whoever made the tarball. With ``sanitize`` the library only loads in a process that
        was started for it.

        Raises:
            MlfMissingDependencyError: no compiler.
            UnsupportedInModelLibraryFormatError: it does not compile.
        """
        from turnkey.mlf.building import build
        from turnkey.mlf.runner import ModuleRunner

        return ModuleRunner(self, build(self, cc=cc, cflags=cflags, sanitize=sanitize))

    def run(self, sample: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs of one sample; builds the module on first use."""
        runners = self.library.runners
        if self.name not in runners:
            runners[self.name] = self.build()
        return runners[self.name].run(sample)

    def verify(
        self,
        reference: ModelProto | None = None,
        samples: Sequence[Mapping[str, np.ndarray]] | None = None,
        *,
        count: int = 5,
    ) -> Verified:
        """Check numbers and memory on samples.

        Args:
            reference: what to compare with; by default the stored samples, and the tarball's own ONNX model.
            samples: inputs; by default generated ones.
            count: of generated samples.

        Raises:
            MlfVerificationError: it computes something else, or writes where it must not.
        """
        from turnkey.mlf.checking import check_module

        return check_module(self, reference, samples, count=count)

    def debug(self, sample: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Every intermediate tensor by name, from the graph executor's run of the packed kernels."""
        from turnkey.mlf.graph_executor import GraphExecutor

        return GraphExecutor(self, self.build()).run(sample)

    def _sample(self, base: str, side: str, tensors: tuple[Tensor, ...]) -> dict[str, np.ndarray]:
        import numpy as np

        arrays = {}
        for index, tensor in enumerate(tensors):
            content = self.library.archive.content(f"{base}/{side}{index}.bin")
            if len(content) != tensor.bytes:
                raise failure(
                    "mlf-bad-archive",
                    "a stored sample has another size than its tensor",
                    evidence=f"{base}/{side}{index}.bin: {len(content)} bytes, {tensor.name!r} has {tensor.bytes}",
                )
            kind = dtypes.of_name(tensor.dtype).numpy()
            arrays[tensor.name] = np.frombuffer(content, dtype=kind).reshape(tensor.shape).copy()
        return arrays

    def _first(self, *paths: str) -> str:
        return next((path for path in paths if path in self.library.archive.files), "")


@dataclass(frozen=True, slots=True)
class Library:
    """A tarball that was read and checked.

    Attributes:
        version: of the format, 1 to 7.
        modules: in the file's order.
    """

    archive: Archive
    version: int
    entries: tuple[metadata.ModuleMetadata, ...]
    runners: dict[str, ModuleRunner] = field(default_factory=dict, repr=False, compare=False)
    """Modules that `Module.run` has built."""

    @property
    def modules(self) -> tuple[Module, ...]:
        return tuple(Module(self, entry) for entry in self.entries)

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(sorted(self.archive.files))

    @property
    def digest(self) -> str:
        return archive.digest(self.archive.files)

    def module(self, name: str | None = None) -> Module:
        """One module by name, or the only one.

        Raises:
            MlfUsageError: there is none of that name, or there are several and no name was given.
        """
        names = [entry.name for entry in self.entries]
        if name is None and len(names) == 1:
            name = names[0]
        for module in self.modules:
            if module.name == name:
                return module
        raise failure(
            "mlf-bad-option",
            f"the tarball has no module {name!r}" if name else "the tarball has several modules",
            evidence=f"modules: {', '.join(names)}",
            remedy="name one of them",
        )


def load(path: str | Path) -> Library:
    """Read a tarball, or the directory it was unpacked to. Nothing of it is executed.

    Raises:
        InputError: there is no such file.
        MlfArtifactError: it is corrupt, hostile or not what its metadata says.
    """
    try:
        content = archive.read(Path(path))
    except FileNotFoundError as error:
        raise InputError(
            "there is no such tarball", evidence=str(path), remedy="check the path; export-mlf --output writes one"
        ) from error
    return from_archive(content)


def from_archive(content: Archive) -> Library:
    """The library in an archive, its parts checked against the metadata."""
    version, entries = metadata.parse(content.json("metadata.json"), path=str(content.path))
    for entry in entries:
        for path, fields in dict(entry.turnkey.get("files", {})).items():
            if path not in content.files:
                raise failure(
                    "mlf-missing-part",
                    "the metadata names a file that the tarball lacks",
                    evidence=f"{content.path}: {path!r}",
                    remedy="fetch the tarball again from where it was made",
                )
            if isinstance(fields, dict) and fields.get("sha256") != sha256(content.files[path]).hexdigest():
                raise failure(
                    "mlf-changed",
                    "a file of the tarball is not the one that was exported",
                    evidence=f"{content.path}: {path!r} has another SHA-256 than metadata.json records",
                    remedy="export the model again, or fetch the tarball again",
                )
    return Library(content, version, entries)
