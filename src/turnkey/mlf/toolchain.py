"""Compilers: finding one, its identity, compiling units, and what it says about sizes and stacks."""

from __future__ import annotations

import functools
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from turnkey.host import affinity_cpus
from turnkey.mlf.failures import failure
from turnkey.mlf.stack import CallGraph, read_call_graph

WARNINGS = ("-Wall", "-Wextra")
_SECONDS = 1800


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiler:
    """A C compiler with a GNU-like driver.

    Attributes:
        command: words in front of every call.
        name, version: ``gcc`` ``12.2.0``.
        target: its own word for what it compiles for: ``x86_64-linux-gnu``.
    """

    command: tuple[str, ...]
    name: str
    version: str
    target: str

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0] or 0)

    @property
    def red_zone_bytes(self) -> int:
        """What a function that calls nothing may use below its frame, which no compiler counts."""
        return 128 if self.target.startswith("x86_64") else 0

    @property
    def is_native(self) -> bool:
        """Whether what it makes can be loaded into this process."""
        architecture = self.target.partition("-")[0].replace("amd64", "x86_64").replace("arm64", "aarch64")
        here = platform.machine().replace("AMD64", "x86_64").replace("arm64", "aarch64")
        return architecture == here and ("linux" in self.target) == sys.platform.startswith("linux")

    @property
    def tells_calls(self) -> bool:
        """Whether it writes a graph of calls with the frames of its functions."""
        return self.name == "gcc" and self.major >= 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What a compilation left.

    Attributes:
        warnings: lines that are warnings.
        sections: text, rodata, data, bss in bytes.
        symbols: needed from outside of the units; None without ``nm``.
        call_graph: frames, and calls where the compiler tells them.
    """

    path: Path
    warnings: tuple[str, ...] = ()
    sections: Mapping[str, int] = field(default_factory=dict)
    symbols: tuple[str, ...] | None = None
    call_graph: CallGraph = field(default_factory=CallGraph)


def find_compiler(command: str | None = None) -> Compiler:
    """The compiler that the user named, else ``$CC``, else ``cc``.

    Raises:
        MlfMissingDependencyError: it is not there, or is no C compiler.
    """
    words = tuple(shlex.split(command or os.environ.get("CC") or "cc"))
    if not words or shutil.which(words[0]) is None:
        raise failure(
            "mlf-no-compiler",
            "no C compiler was found",
            evidence=f"{' '.join(words) or 'CC is empty'}: not on the PATH",
            remedy="apt install gcc   # or --cc NAME, or export-mlf --no-compile",
        )
    return _identified(words)


@functools.cache
def _identified(words: tuple[str, ...]) -> Compiler:
    version = _output((*words, "-dumpfullversion", "-dumpversion"))
    target = _output((*words, "-dumpmachine"))
    banner = _output((*words, "--version"))
    if not version or not target:
        raise failure(
            "mlf-no-compiler",
            f"{words[0]} is not a C compiler that we know how to ask",
            evidence=banner.splitlines()[0] if banner else "it answers nothing to --version",
            remedy="--cc gcc   # or clang",
        )
    name = "clang" if "clang" in banner else "gcc"
    return Compiler(command=words, name=name, version=version.splitlines()[0], target=target)


def _output(words: Sequence[str]) -> str:
    result = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60)
    return result.stdout.strip() if result.returncode == 0 else ""


def compile_units(
    compiler: Compiler,
    sources: Iterable[Path],
    output: Path,
    *,
    flags: Sequence[str],
    link: Sequence[str],
    objects: Sequence[Path] = (),
    support: Sequence[Path] = (),
) -> Compiled:
    """Compile C units side by side, in a directory of their own, and link them into ``output``.

    Args:
        flags: for compiling; include paths and macros too.
        link: for linking: ``("-shared", "-lm")``.
        objects: units that were compiled before.
        support: further units that are linked in, and left out of what is counted.

    Raises:
        UnsupportedInModelLibraryFormatError: with the first lines that the compiler printed.
    """
    usage = ("-fstack-usage", *(("-fcallgraph-info=su",) if compiler.tells_calls else ()))
    with tempfile.TemporaryDirectory(prefix="turnkey-mlf-") as directory:
        units = [(source, Path(directory) / f"{index}_{source.stem}.o") for index, source in enumerate(sources)]

        further = [
            compile_object(compiler, source, Path(directory) / f"support_{source.stem}.o", flags=flags)
            for source in support
        ]

        def compiled(unit: tuple[Path, Path]) -> str:
            return _call(compiler, ("-c", str(unit[0]), "-o", str(unit[1]), *flags, *usage), directory)

        with ThreadPoolExecutor(max_workers=len(affinity_cpus())) as pool:  # each waits for a process of its own
            texts = list(pool.map(compiled, units))
        linked = [*(str(target) for _, target in units), *map(str, objects)]
        texts.append(_call(compiler, (*linked, *map(str, further), "-o", str(output), *link), directory))
        return Compiled(
            path=output,
            warnings=tuple(line for text in texts for line in text.splitlines() if " warning: " in line),
            sections=_sections(linked),
            symbols=_symbols(linked),
            call_graph=_call_graph([target for _, target in units], compiler.red_zone_bytes),
        )


def _call_graph(objects: Sequence[Path], red_zone_bytes: int) -> CallGraph:
    """From the ``.ci`` files beside the objects, else the ``.su`` files, which know frames only."""
    graphs = [target.with_suffix(".ci") for target in objects]
    if graphs and all(graph.exists() for graph in graphs):
        texts = [graph.read_text(errors="replace") for graph in graphs]
        return read_call_graph(texts, red_zone_bytes=red_zone_bytes)
    frames: dict[str, int] = {}
    for usage in (target.with_suffix(".su") for target in objects):
        if usage.exists():
            frames.update(_stack_usage(usage.read_text(errors="replace")))
    return CallGraph(frames=frames)


def _symbols(objects: Sequence[str]) -> tuple[str, ...] | None:
    """What the objects need and do not define, by ``nm``; None without that program."""
    program = shutil.which("nm")
    if program is None:
        return None
    text = _output((program, *objects))
    needed = set(re.findall(r"^\s+U (\S+)$", text, re.M))
    defined = set(re.findall(r"^[0-9a-f]+ [A-TV-Z] (\S+)$", text, re.M))
    return tuple(sorted(needed - defined - {"_GLOBAL_OFFSET_TABLE_"}))


def compile_object(compiler: Compiler, source: Path, output: Path, *, flags: Sequence[str]) -> Path:
    """Compile one unit to an object file."""
    _call(compiler, ("-c", str(source), "-o", str(output), *flags), str(output.parent))
    return output


def _call(compiler: Compiler, arguments: Sequence[str], directory: str) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        result = subprocess.run(
            (*compiler.command, *arguments),
            cwd=directory,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            env=environment,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(compiler, f"no answer within {_SECONDS} s") from error
    if result.returncode != 0:
        lines = [line for line in result.stderr.splitlines() if "error" in line.lower()] or result.stderr.splitlines()
        raise _failed(compiler, "\n".join(lines[:6]) or f"exit status {result.returncode}")
    return result.stderr


def _failed(compiler: Compiler, evidence: str) -> Exception:
    return failure(
        "mlf-compile-failed",
        f"{compiler.name} {compiler.version} does not compile the C code",
        evidence=evidence,
        remedy="--cc NAME for another compiler; --no-compile exports without trying",
    )


def _stack_usage(text: str) -> dict[str, int]:
    """Frames from a ``.su`` file: ``file:line:column:function <tab> bytes <tab> static``."""
    found = {}
    for line in text.splitlines():
        parts = line.split("\t")
        if len(parts) >= 2 and parts[1].isdigit():
            found[parts[0].rpartition(":")[2]] = int(parts[1])
    return found


def _sections(objects: Sequence[str]) -> dict[str, int]:
    """text, rodata, data and bss over object files, by ``size -A``; empty without that program."""
    program = shutil.which("size")
    if program is None:
        return {}
    text = _output((program, "-A", *objects))
    totals = dict.fromkeys(("text", "rodata", "data", "bss"), 0)
    for name, size in re.findall(r"^(\.\S+)\s+(\d+)\s+\d+", text, re.M):
        # Tables of addresses are constant once the program is loaded; position-independent code puts them apart.
        name = name.replace(".data.rel.ro", ".rodata.rel")
        for section in totals:
            if name == f".{section}" or name.startswith(f".{section}."):
                totals[section] += int(size)
    return totals
