"""Small tools for tests of pipeline and launching, as a plug-in distribution: a worker process finds them too."""

from __future__ import annotations

import hashlib
import os
import runpy
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.state import State, Variant
from turnkey.pipeline.tool import Argument, Tool, ToolKind, ToolSkipped


class Obey(Tool):
    """Run the input as a script; its globals ``statistics`` and ``listing`` are what the tool found."""

    name = "obey"
    kind = ToolKind.FIRST
    progress = "Obeying the script"
    arguments = (Argument(flags=("--script-args",), help="words for the script"),)

    def run(self, state: State, **arguments: Any) -> State:
        assert not state.statistics.get("error_log")
        found = runpy.run_path(
            arguments["input"], {"arguments": arguments, "seed": state.environment["seed"]}, run_name="__main__"
        )
        return replace(
            state,
            model_hash=found.get("model_hash", "ab" * 32),
            listing=found.get("listing", ""),
            model=found.get("model"),
        ).with_statistics(**found.get("statistics", {}))


class Store(Tool):
    """Write a file as a variant; ``count`` names a file that gets one line per run."""

    name = "store"
    kind = ToolKind.SEQUENCE
    progress = "Storing a file"
    arguments = (
        Argument(flags=("--text",), help="content", default="text"),
        Argument(flags=("--count",), help="file that counts runs"),
        Argument(flags=("--script",), help="Python code to run before anything is stored"),
        Argument(flags=("--opset",), help="a number", parse=int, default=lambda: 20, default_text="20"),
    )

    def run(
        self, state: State, text: str = "text", count: str | None = None, script: str | None = None, opset: int = 20
    ) -> State:
        if count:
            with open(count, "a") as file:
                file.write("run\n")
        if script:
            exec(script, {"state": state})
        path = BuildPaths(state.cache_dir, state.build_name).onnx(opset, "base")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        key = f"stored-{len(state.variants)}" if state.variants else "stored"
        return state.with_variant(
            Variant(
                key=key,
                format="onnx",
                path=path.relative_to(state.build_dir).as_posix(),
                sha256=hashlib.sha256(text.encode()).hexdigest(),
            )
        ).with_statistics(stored=text)


class Keep(Store):
    """Store, as a tool whose results may be reused."""

    name = "keep"
    reusable = True


class Times(Tool):
    """Measure, as far as others can tell."""

    name = "times"
    kind = ToolKind.SEQUENCE
    measures = True
    arguments = (Argument(flags=("--seconds",), help="how long", parse=float, default=0.2),)

    def run(self, state: State, seconds: float = 0.2) -> State:
        began = time.monotonic()
        time.sleep(seconds)
        return state.with_statistics(measured=[began, time.monotonic()])


class Fail(Tool):
    """Raise, unless the file ``unless`` exists."""

    name = "fail"
    kind = ToolKind.SEQUENCE
    arguments = (Argument(flags=("--unless",), help="file"),)

    def run(self, state: State, unless: str | None = None) -> State:
        if unless and Path(unless).exists():
            return state
        os.write(2, b"about to fail\n")
        raise RuntimeError("it failed")


class PassOver(Tool):
    """Have nothing to do."""

    name = "pass-over"
    kind = ToolKind.SEQUENCE

    def run(self, state: State) -> State:
        raise ToolSkipped("nothing to do")


class Discovers(Obey):
    """Obey under the name of the tool that finds models."""

    name = "discover"
    arguments = (
        Argument(flags=("--script-args",), help="words for the script"),
        Argument(flags=("--max-depth",), help="depth", parse=int, default=0),
    )

    def run(self, state: State, **arguments: Any) -> State:
        return super().run(state, **arguments).with_statistics(target=arguments.get("target"))


class NeedsModel(Tool):
    """Call the live model."""

    name = "needs-model"
    kind = ToolKind.SEQUENCE

    @classmethod
    def needs_live_model(cls, state: State, **arguments: Any) -> bool:
        return True

    def run(self, state: State) -> State:
        return state
