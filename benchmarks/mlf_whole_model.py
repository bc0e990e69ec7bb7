"""What emx-onnx-cgen makes of a whole model by itself, with its own defaults, as a target of the measuring engine.

Its command writes one C file, and a file of weights where they are many; the C is compiled with the flags that our own
was compiled with. The calls measured are those of its entry function on the same samples.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from turnkey.measure import TargetDescription
from turnkey.mlf.toolchain import compile_units, find_compiler
from turnkey.model.samples import Sample, read_samples
from turnkey.verify import VerificationVerdict, compare

KEY = "emx-onnx-cgen"


def description(name: str, directory: Path, *, flags: Sequence[str]) -> TargetDescription:
    """Generate and compile ``<name>.onnx``, whose samples lie beside it, unless that was done before."""
    made = directory / f"{name}-generator"
    library = made / "model.so"
    if not library.exists():
        made.mkdir(exist_ok=True)
        program = Path(sys.executable).with_name("emx-onnx-cgen")
        source = directory / f"{name}.onnx"
        subprocess.run(
            [program, "compile", "--model-name", "model", str(source), str(made / "model.c")],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        kept = [flag for flag in flags if flag not in ("-Wall", "-Wextra")]
        compile_units(find_compiler(), [made / "model.c"], library, flags=(*kept, "-fPIC"), link=("-shared", "-lm"))
    return TargetDescription(
        key=KEY,
        factory="mlf_whole_model:load_whole",
        arguments={"directory": str(directory), "name": name},
        environment={"PYTHONPATH": str(Path(__file__).parent)},
    )


class WholeModel:
    """Has the methods of ``turnkey.measure.target.Target``."""

    def __init__(self, directory: Path, name: str) -> None:
        self._made = directory / f"{name}-generator"
        self._samples = read_samples(directory / f"{name}-samples")
        graph = onnx.load(directory / f"{name}.onnx").graph
        shape = [dim.dim_value for dim in graph.output[0].type.tensor_type.shape.dim]
        self._output, self._shape = graph.output[0].name, shape

    def load(self) -> None:
        library = ctypes.CDLL(str(self._made / "model.so"))
        load = library.model_load
        load.restype, load.argtypes = ctypes.c_bool, (ctypes.c_char_p,)
        if not load(str(self._made / "model.bin").encode()):
            raise SystemExit(f"the weights in {self._made} cannot be loaded")
        self._entry = library.model
        self._entry.restype, self._entry.argtypes = None, (ctypes.c_void_p, ctypes.c_void_p)

    def compile(self) -> bool:
        return False

    def samples(self) -> list[Sample]:
        return list(self._samples.inputs)

    def check(self, index: int, outputs: Sample) -> str | None:
        expected = self._samples.outputs[index]
        comparison = compare(expected, outputs) if expected is not None else None
        wrong = comparison is not None and comparison.verdict is VerificationVerdict.INVALID
        return comparison.reason if comparison is not None and wrong else None

    def prepare(self, sample: Sample) -> Any:
        result = np.empty(self._shape, np.float32)
        return sample["input"], result, sample["input"].ctypes.data, result.ctypes.data

    def run(self, prepared: Any) -> Any:
        self._entry(prepared[2], prepared[3])
        return prepared[1]

    def outputs(self, result: np.ndarray) -> Sample:
        return {self._output: result}

    def describe(self) -> Mapping[str, Any]:
        return {}

    def close(self) -> None:
        """The library stays loaded until the process ends."""


def load_whole(*, threads: int, directory: str, name: str) -> WholeModel:
    """Factory for the worker processes; the code runs on one thread."""
    return WholeModel(Path(directory), name)
