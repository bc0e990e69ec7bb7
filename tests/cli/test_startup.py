"""What starting up imports: an allow-list, because a heavy import is what makes a command line slow."""

from __future__ import annotations

import subprocess
import sys

import pytest

STANDARD_LIBRARY = {
    "ast",
    "collections",
    "contextlib",
    "copy",
    "copyreg",
    "dataclasses",
    "dis",
    "enum",
    "errno",
    "fnmatch",
    "functools",
    "genericpath",
    "glob",
    "grp",
    "importlib",
    "inspect",
    "ipaddress",
    "itertools",
    "keyword",
    "linecache",
    "math",
    "ntpath",
    "opcode",
    "operator",
    "os",
    "pathlib",
    "posixpath",
    "pwd",
    "re",
    "reprlib",
    "signal",
    "stat",
    "textwrap",
    "token",
    "tokenize",
    "types",
    "typing",
    "urllib",
    "warnings",
    "weakref",
}
OURS = {
    "turnkey.cli",
    "turnkey.errors",
    "turnkey.nearest",
    "turnkey.pipeline.arguments",
    "turnkey.pipeline.plain_data",
    "turnkey.pipeline.quantity",
    "turnkey.pipeline.shard",
    "turnkey.pipeline.skip_policy",
    "turnkey.pipeline.tool",
    "turnkey.pipeline.toolbox",
    "turnkey.plugins",
    "turnkey.settings",
    "turnkey.tools",
    "turnkey.version",
}

OUR_TOOLS = {
    "turnkey.lexer",
    "turnkey.lexer.benchmark_tool",
    "turnkey.lexer.tool",
    "turnkey.navigator",
    "turnkey.navigator.tool",
    "turnkey.navigator.triton_tool",
}
"""Doors whose tools stand in their own rooms: these modules and no other of theirs."""

OUR_NAMES = {
    "turnkey.formats",
    "turnkey.formats.format",
    "turnkey.formats.live_source",
    "turnkey.formats.onnx_export",
}
"""Tables of names that arguments choose from: these modules and no other of their room."""

PROBE = """
import sys
before = set(sys.modules)
import turnkey.cli.main
code = turnkey.cli.main.main({tokens!r})
sys.stdout.flush()
print("\\nIMPORTED", code, *sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize(
    "tokens",
    [["-h"], [], ["version"], ["--version"], ["benchmark", "-h"], ["completion", "bash"], ["completion-answer", ""]],
    ids=" ".join,
)
def test_starting_up_imports_only_light_modules(tokens: list[str]) -> None:
    # -S: without site-packages' own start-up files, which are not ours; our package and plug-ins are still found.
    environment = {"PYTHONPATH": ":".join(sys.path), "HOME": "/"}
    command = [sys.executable, "-S", "-c", PROBE.format(tokens=tokens)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    _, code, *imported = done.stdout.splitlines()[-1].split()
    assert code == "0"
    foreign = {name for name in imported if name.partition(".")[0] not in STANDARD_LIBRARY | {"turnkey"}}
    assert {name for name in foreign if not name.startswith("_")} == set()
    ours = {name for name in imported if name.startswith("turnkey.") and name != "turnkey.pipeline"}
    ours -= OUR_TOOLS | OUR_NAMES
    assert {name for name in ours if not any(name == root or name.startswith(f"{root}.") for root in OURS)} == set()
    assert "importlib.metadata" not in imported


@pytest.mark.parametrize(
    ("module", "name", "variable", "default"),
    [
        ("turnkey.common.build", "DEFAULT_ONNX_OPSET", "TURNKEY_ONNX_OPSET", 20),
        ("turnkey.cli.spawn", "DEFAULT_TIMEOUT_SECONDS", "TURNKEY_TIMEOUT_SECONDS", 3600),
    ],
)
def test_the_documented_constants_follow_their_variables_and_import_no_torch(
    module: str, name: str, variable: str, default: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    found = importlib.import_module(module)
    monkeypatch.delenv(variable, raising=False)
    assert getattr(found, name) == default
    monkeypatch.setenv(variable, "18")
    assert getattr(found, name) == 18
    probe = f"import sys; from {module} import {name}; print({name}, 'torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    value, *heavy = done.stdout.split()
    assert float(value) == 18
    assert heavy == ["False", "False"]
    with pytest.raises(AttributeError):
        _ = found.SOMETHING_ELSE
