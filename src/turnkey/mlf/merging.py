"""Several modules in one tarball: shared paths given up, and one function registry over all of them.

Each module's unit would define ``TVMSystemLibEntryPoint``; in a tarball of several it lives once, in
``codegen/host/src/system_lib0.c``, over the joined list of functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from turnkey.mlf import archive, metadata
from turnkey.mlf.archive import Archive
from turnkey.mlf.bare_metal import baremetal_files, first_sample
from turnkey.mlf.codegen.entry import REGISTRY_MARK, registry_text
from turnkey.mlf.codegen.header import Interface
from turnkey.mlf.failures import failure
from turnkey.mlf.host_template import host_files
from turnkey.mlf.library import Library, Module, from_archive, load
from turnkey.mlf.manifest import file_entry
from turnkey.mlf.packed_files import packed_files
from turnkey.settings import packing_time

SYSTEM_UNIT = "codegen/host/src/system_lib0.c"
_SINGLE = ("executor-config/graph/graph.json", "src/relay.txt")


def with_joined_registry(files: Mapping[str, bytes], functions: Sequence[str]) -> dict[str, bytes]:
    """The files with each unit's registry taken out and one over all functions put in."""
    joined = dict(files)
    for path, content in files.items():
        mark = content.find(REGISTRY_MARK.encode()) if path.endswith(".c") else -1
        if mark >= 0:
            joined[path] = content[:mark]
    if functions:
        text = registry_text(functions, comment="all modules of this tarball.")
        joined[SYSTEM_UNIT] = text.encode()
    return joined


def merge(paths: Sequence[str | Path], target: str | Path) -> Library:
    """Put the modules of several tarballs into one; the result is written atomically.

    Raises:
        MlfUsageError: two modules of one name, operator style, or a tarball that is not of version 7.
        MlfArtifactError: one of them cannot be read, or brings a file of another's module.
    """
    libraries = [load(path) for path in paths]
    modules = [module for library in libraries for module in library.modules]
    _check_names(libraries, modules)
    files: dict[str, bytes] = dict(packed_files())
    functions: list[str] = []
    for module in modules:
        own = _own_files(module)
        taken = next((path for path in own if path in files), "")
        if taken:
            raise failure(
                "mlf-bad-archive",
                f"the tarball of {module.name!r} holds a file of another module",
                evidence=f"{module.library.archive.path}: {taken!r}",
                remedy="export that module again",
            )
        files.update(own)
        if "graph" in module.metadata.executors:
            functions += [str(kernel["function_name"]) for kernel in module.metadata.turnkey.get("kernels", [])]
    if len(modules) > 1:
        files = with_joined_registry(files, functions)
    interfaces = [interface_of(module) for module in modules if "aot" in module.metadata.executors]
    if interfaces:
        files.update(host_files(interfaces))
        first, *others = interfaces
        files.update(baremetal_files(first, first_sample(files, first.module), others=others))
    timestamp = int(packing_time())
    entries = {}
    for index, module in enumerate(modules):
        listed = set(_own_files(module)) | ({SYSTEM_UNIT} if index == 0 and len(modules) > 1 and functions else set())
        table = {path: file_entry(path, files[path]) for path in sorted(listed)}
        extension = {**module.metadata.turnkey, "files": table}
        date = metadata.export_datetime(timestamp)
        entries[module.name] = {**module.metadata.raw, "turnkey": extension, "export_datetime": date}
        entries[module.name].pop("version", None)
    text = metadata.metadata_text(entries, version=7)
    merged = from_archive(Archive(Path(target), {**files, "metadata.json": text}))
    archive.write_atomically(Path(target), archive.pack(merged.archive.files, timestamp=timestamp))
    return merged


def interface_of(module: Module) -> Interface:
    """What a module's header declares, from its metadata."""
    abi = module.abi
    main = module.metadata.main[0] if module.metadata.main else {}
    pool = int(main.get("constants_size_bytes", 0)) if abi.get("constants") == "pool" else None
    return Interface(
        module=module.name,
        inputs=module.inputs,
        outputs=module.outputs,
        workspace=str(abi.get("workspace", "external")),
        workspace_bytes=int(abi.get("workspace_bytes", 0)),
        alignment=int(abi.get("workspace_alignment", 16)),
        constants_pool_bytes=pool,
    )


def _check_names(libraries: Sequence[Library], modules: Sequence[Module]) -> None:
    names = [module.name for module in modules]
    double = next((name for name in names if names.count(name) > 1), "")
    if double:
        raise failure(
            "mlf-duplicate-module",
            "Multiple modules should have unique names.",
            evidence=f"{double!r} is in more than one of the tarballs",
            remedy="export one of them again with another --name",
        )
    for library in libraries:
        if library.version != 7 or any(
            not module.abi or module.metadata.style != "full-model" for module in library.modules
        ):
            raise failure(
                "mlf-bad-option",
                "only full models in version 7 tarballs of Turnkey can be merged",
                evidence=f"{library.archive.path}: version {library.version}",
                remedy="export-mlf --mlf-version 7 --style full-model",
            )


def _own_files(module: Module) -> dict[str, bytes]:
    """Files of one module that do not belong to the tarball as a whole."""
    table = module.metadata.turnkey.get("files", {})
    shared = ("runtime/", "templates/", SYSTEM_UNIT, "codegen/host/lib/system_lib")
    return {
        path: module.library.archive.files[path]
        for path in table
        if not path.startswith(shared) and path not in _SINGLE
    }
