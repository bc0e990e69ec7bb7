"""Every node test of the installed onnx package through a tarball: export, compile, load, run, compare.

    python benchmarks/mlf_nodes.py                      # all of them, on all processors
    python benchmarks/mlf_nodes.py --match softmax      # those whose name contains a word
    python benchmarks/mlf_nodes.py --kind simple light  # the small whole models as well
    python benchmarks/mlf_nodes.py --json results.json

Each case counts as ``passed``, ``unsupported`` (its types need a newer compiler, or it has no tensors: with the
reason) or ``failed``. The exit code is 1 if a case failed that `mlf_exceptions.txt` does not name.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

EXCEPTIONS = Path(__file__).with_name("mlf_exceptions.txt")
_CASES: dict[str, Any] = {}


class Outcome(NamedTuple):
    """What became of one case."""

    name: str
    verdict: str
    reason: str
    seconds: float


def load_cases(kinds: list[str], match: str) -> dict[str, Any]:
    """Test cases of the installed onnx package by name."""
    from onnx.backend.test.loader import load_model_tests, load_node_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases provoke overflows on purpose
        cases = []
        for kind in kinds:
            found = load_node_model_tests() if kind == "node" else load_model_tests(kind=kind)
            cases += [case for case in found if kind == "node" or case.model_dir or case.url]
    return {case.name: case for case in cases if match in case.name}


def model_and_data(case: Any) -> tuple[Any, list[tuple[list[Any], list[Any]]]]:
    """The model of a case and its (inputs, outputs), as arrays."""
    import onnx
    from onnx import numpy_helper

    if case.model is not None:
        return case.model, [([_array(x) for x in i], [_array(x) for x in o]) for i, o in case.data_sets]
    base = Path(onnx.__file__).parent / "backend/test/data"
    if case.model_dir is None:  # light models: the file has the weights' shapes, and one stored output
        light = (
            base / "light" / f"light_{case.url.rpartition('/')[2].removesuffix('.onnx').removeprefix('light_')}.onnx"
        )
        model = onnx.load(light)
        return model, [([], [_proto(Path(str(light).replace(".onnx", "_output_0.pb")))])]
    model = onnx.load(Path(case.model_dir) / "model.onnx")
    sets = []
    for directory in sorted(Path(case.model_dir).glob("test_data_set*")):
        sides = []
        for side in ("input", "output"):
            files = sorted(directory.glob(f"{side}_*.pb"), key=lambda path: int(path.stem.rpartition("_")[2]))
            sides.append([_proto(path) for path in files])
        sets.append((sides[0], sides[1]))
    del numpy_helper
    return model, sets


def _proto(path: Path) -> np.ndarray:
    import onnx
    from onnx import numpy_helper

    return numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


def _array(value: Any) -> Any:
    import onnx
    from onnx import numpy_helper

    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value


def _warm_up() -> None:
    """What every case needs is imported before the workers are forked from this process."""
    import onnx
    import onnx.reference

    from turnkey.mlf.lowering import emx

    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    x, y = (onnx.helper.make_tensor_value_info(name, 1, [1]) for name in "xy")
    opset = onnx.helper.make_opsetid("", 17)
    emx.generate(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [x], [y]), opset_imports=[opset]))


def run_case(name: str) -> Outcome:
    """One case in this process."""
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verdict, reason = _run(_CASES[name])
    return Outcome(name, verdict, reason, time.perf_counter() - started)


def _run(case: Any) -> tuple[str, str]:
    import turnkey.mlf as mlf
    from turnkey.errors import TurnkeyError

    model, data_sets = model_and_data(case)
    with tempfile.TemporaryDirectory(prefix="turnkey-nodes-") as directory:
        os.environ["TURNKEY_CACHE_DIR"] = directory  # libraries of single cases are not worth keeping
        try:
            path = Path(directory) / "case.tar"
            mlf.export(model, path, name="case", compile=False, optimize="none", executor="aot")
            module = mlf.load(path).module()
            runner = module.build(cflags=("-O0",))
            for inputs, expected in data_sets:
                if not inputs and module.inputs:
                    inputs = _light_inputs(module)
                sample = {
                    tensor.name: _fitting(value, tensor.dtype)
                    for tensor, value in zip(module.inputs, inputs, strict=True)
                }
                outputs = runner.run(sample)
                for tensor, value in zip(module.outputs, expected, strict=True):
                    problem = difference(_fitting(value, tensor.dtype), outputs[tensor.name], case.rtol, case.atol)
                    if problem:
                        return "failed", f"{tensor.name}: {problem}"
        except TurnkeyError as error:
            code = getattr(error, "code", "")
            if code == "mlf-no-compiler":
                raise
            unsupported = code in ("mlf-unsupported-dtype", "mlf-non-tensor")
            return "unsupported" if unsupported else "failed", f"{code}: {error.what} {error.evidence}"[:600]
        except Exception as error:  # noqa: BLE001  (a defect of ours is a failed case, not the end of the run)
            return "failed", f"{type(error).__name__}: {error}"[:600]
    return "passed", ""


def _light_inputs(module: Any) -> list[np.ndarray]:
    """Light models are compared on the input that their makers used: a ramp over the elements."""
    found = []
    for tensor in module.inputs:
        size = int(np.prod(tensor.shape))
        found.append((np.arange(size, dtype=np.float32) / size).reshape(tensor.shape))
    return found


def _fitting(value: Any, dtype: str) -> np.ndarray:
    from turnkey.mlf.dtypes import of_name

    array = np.asarray(value)
    kind = of_name(dtype).numpy()
    return array if array.dtype == kind else array.astype(kind)


def difference(expected: np.ndarray, actual: np.ndarray, rtol: float, atol: float) -> str:
    """What differs beyond the case's own tolerances; empty if nothing does."""
    if expected.shape != actual.shape:
        return f"shape {actual.shape}, expected {expected.shape}"
    if expected.dtype != actual.dtype:
        return f"dtype {actual.dtype}, expected {expected.dtype}"
    exact = expected.dtype == bool or expected.dtype.kind in "iu"
    left, right = (array if exact else array.astype(np.float64) for array in (expected, actual))
    try:
        if exact and expected.dtype == bool:
            np.testing.assert_array_equal(right, left)
        else:
            np.testing.assert_allclose(right, left, rtol=rtol, atol=atol)
    except AssertionError as error:
        return " ".join(str(error).split())[:300]
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--match", default="")
    parser.add_argument(
        "--kind",
        nargs="+",
        default=["node"],
        choices=("node", "simple", "light", "pytorch-operator", "pytorch-converted"),
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    _CASES.update(load_cases(arguments.kind, arguments.match))
    known = dict(
        line.split(None, 1)
        for line in (EXCEPTIONS.read_text().splitlines() if EXCEPTIONS.exists() else [])
        if line and not line.startswith("#")
    )
    outcomes: list[Outcome] = []
    context = multiprocessing.get_context("fork")
    _warm_up()
    with context.Pool(arguments.jobs) as pool:
        for outcome in pool.imap_unordered(run_case, sorted(_CASES), chunksize=4):
            outcomes.append(outcome)
            if outcome.verdict == "failed" and outcome.name not in known:
                print(f"{len(outcomes)}/{len(_CASES)} {outcome.name}: {outcome.reason}", file=sys.stderr, flush=True)
    outcomes.sort()
    counts = Counter(outcome.verdict for outcome in outcomes)
    for outcome in outcomes:
        if outcome.verdict != "passed":
            print(f"{outcome.verdict:12} {outcome.name}: {outcome.reason.splitlines()[0] if outcome.reason else ''}")
    print("  ".join(f"{verdict} {counts[verdict]}" for verdict in ("passed", "unsupported", "failed")))
    if arguments.json:
        arguments.json.write_text(json.dumps([outcome._asdict() for outcome in outcomes], indent=1))
    unnamed = [o.name for o in outcomes if o.verdict == "failed" and o.name not in known]
    return 1 if unnamed else 0


if __name__ == "__main__":
    sys.exit(main())
