"""``turnkey.files``: the role and the SHA-256 of every file, so that a reader can tell a changed tarball."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256


def file_table(files: Mapping[str, bytes], module: str, modules: Sequence[str]) -> dict[str, dict[str, str]]:
    """Role and SHA-256 of the files that belong to one module; shared files belong to the first."""
    others = [name for name in modules if name != module]
    table = {}
    for path, content in sorted(files.items()):
        foreign = any(
            path.rpartition("/")[2].startswith((f"{name}_lib", f"{name}.", f"tvmgen_{name}.", f"{name}_constants"))
            or path.startswith(f"samples/{name}/")
            for name in others
        )
        if not foreign and (
            path.startswith(("codegen", "executor", "param", "src", "samples")) or module == modules[0]
        ):
            table[path] = file_entry(path, content)
    return table


def file_entry(path: str, content: bytes) -> dict[str, str]:
    """What is told of one file."""
    roles = {
        "codegen/host/include": "header",
        "codegen/host/src": "source",
        "codegen/host/lib": "object",
        "executor-config": "graph",
        "parameters": "parameters",
        "src": "model",
        "samples": "sample",
        "runtime": "runtime",
        "templates": "template",
    }
    role = next((role for prefix, role in roles.items() if path.startswith(prefix)), "other")
    return {"role": role, "sha256": sha256(content).hexdigest()}
