"""Every node test of the installed onnx package through a tarball: export, compile, load, run, compare.

    python benchmarks/mlf_nodes.py                      # all of them, on all processors
    python benchmarks/mlf_nodes.py --match softmax      # those whose name contains a word
    python benchmarks/mlf_nodes.py --kind simple light  # small whole models
    python benchmarks/mlf_nodes.py --journal done.jsonl --slice 2/8   # an eighth; repeats only what changed
    python benchmarks/mlf_nodes.py --evidence           # about the named exceptions
    python benchmarks/mlf_nodes.py --json results.json

Each case counts as ``passed``, ``unsupported`` (its types need a newer compiler, or it has no tensors: with the
reason) or ``failed``. The exit code is 1 if a case failed that `mlf_exceptions.txt` does not name.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

EXCEPTIONS = Path(__file__).with_name("mlf_exceptions.txt")
_CASES: dict[str, Any] = {}
_EARLIER: dict[str, Outcome] = {}
"""Outcomes of an earlier run. A verdict stays while the export still gives the same C code."""


class Outcome(NamedTuple):
    """What became of one case; ``code`` is the digest of its C code, empty if there is none."""

    name: str
    verdict: str
    reason: str
    seconds: float
    code: str = ""


def load_cases(kinds: list[str], match: str) -> dict[str, Any]:
    """Test cases of the installed onnx package by name."""
    from onnx.backend.test.loader import load_model_tests, load_node_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases provoke overflows on purpose
        cases = []
        for kind in kinds:
            # Light models stand among the real ones, by the place of their file in the package.
            found = load_node_model_tests() if kind == "node" else load_model_tests(kind=_KINDS.get(kind, kind))
            cases += [case for case in found if kind == "node" or case.model_dir or _is_light(case)]
    return {case.name: case for case in cases if match in case.name}


_KINDS = {"light": "real"}
_LIGHT = "onnx/backend/test/data/light/"


def _is_light(case: Any) -> bool:
    return bool(case.url) and case.url.startswith(_LIGHT)


def model_and_data(case: Any) -> tuple[Any, list[tuple[list[Any], list[Any]]]]:
    """The model of a case and its (inputs, outputs), as arrays."""
    import onnx

    if case.model is not None:
        return case.model, [([_array(x) for x in i], [_array(x) for x in o]) for i, o in case.data_sets]
    if _is_light(case):  # the file makes its weights, all equal; one output is stored
        path = Path(onnx.__file__).parent / case.url.removeprefix("onnx/")
        return onnx.load(path), [([], [_proto(path.with_name(f"{path.stem}_output_0.pb"))])]
    model = onnx.load(Path(case.model_dir) / "model.onnx")
    sets = []
    for directory in sorted(Path(case.model_dir).glob("test_data_set*")):
        sides = []
        for side in ("input", "output"):
            files = sorted(directory.glob(f"{side}_*.pb"), key=lambda path: int(path.stem.rpartition("_")[2]))
            sides.append([_proto(path) for path in files])
        sets.append((sides[0], sides[1]))
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
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="turnkey-nodes-") as directory:
        warnings.simplefilter("ignore")
        try:
            library = exported(_CASES[name], Path(directory))
            code = code_digest(library)
            earlier = _EARLIER.get(name)
            if earlier is not None and earlier.code == code:
                return earlier
            verdict, reason = judged(_CASES[name], library, Path(directory))
        except Exception as error:  # noqa: BLE001  (a defect of ours is a failed case, not the end of the run)
            verdict, reason, code = *refusal(error), ""
    return Outcome(name, verdict, reason, time.perf_counter() - started, code)


def exported(case: Any, directory: Path) -> Any:
    """The case's tarball, read back."""
    import turnkey.mlf as mlf

    model, data_sets = model_and_data(case)
    path = directory / "case.tar"
    dims = dict(_extents(model, data_sets[0][0] if data_sets else []))
    mlf.export(model, path, name="case", compile=False, optimize="none", executor="aot", dims=dims)
    return mlf.load(path)


def _extents(model: Any, inputs: list[Any]) -> Iterator[tuple[str, int]]:
    """Numbers for symbolic dimensions, from the case's own data."""
    for value, given in zip(model.graph.input, inputs, strict=False):
        shape = np.shape(given) if isinstance(given, np.ndarray) else ()
        for dim, extent in zip(value.type.tensor_type.shape.dim, shape, strict=False):
            if dim.dim_param:
                yield dim.dim_param, extent


def code_digest(library: Any) -> str:
    """Of everything that is compiled."""
    total = hashlib.sha256()
    for path in library.files:
        if path.startswith(("codegen/", "runtime/include/")):
            total.update(path.encode() + library.archive.content(path))
    return total.hexdigest()[:16]


def refusal(error: Exception) -> tuple[str, str]:
    """Verdict and reason for a case that ended in an error."""
    code = getattr(error, "code", "")
    if code == "mlf-no-compiler":
        raise error
    verdict = "unsupported" if code in ("mlf-unsupported-dtype", "mlf-non-tensor") else "failed"
    if code:
        return verdict, f"{code}: {error.what} {error.evidence}"[:600]  # type: ignore[attr-defined]
    return verdict, f"{type(error).__name__}: {error}"[:600]


def judged(case: Any, library: Any, directory: Path) -> tuple[str, str]:
    """Compile, run, compare within the case's own tolerances."""
    from turnkey.mlf.building import build
    from turnkey.mlf.runner import ModuleRunner

    _, data_sets = model_and_data(case)
    module = library.module()
    runner = ModuleRunner(module, build(module, cflags=("-O2" if _is_light(case) else "-O0",), cache=directory))
    for given, expected in data_sets:
        inputs = given if given or not module.inputs else _light_inputs(module)
        sample = {
            tensor.name: _fitting(value, tensor.dtype) for tensor, value in zip(module.inputs, inputs, strict=True)
        }
        outputs = runner.run(sample)
        for tensor, value in zip(module.outputs, expected, strict=True):
            problem = difference(_fitting(value, tensor.dtype), outputs[tensor.name], case.rtol, case.atol)
            if problem:
                return "failed", f"{tensor.name}: {problem}"
    return "passed", ""


def evidence(name: str) -> str:
    """What can be checked about a named exception without us: the standard's own shapes and its own evaluator."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    case = _CASES[name]
    model, data_sets = model_and_data(case)
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for output in bare.graph.output:  # what is stated there is known from the stored output only
        output.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(bare, data_prop=True)
    dims = [dim for output in inferred.graph.output for dim in output.type.tensor_type.shape.dim]
    known = all(o.type.tensor_type.HasField("shape") for o in inferred.graph.output)
    shape = "inferred" if known and all(dim.HasField("dim_value") for dim in dims) else "not inferred"
    names = [value.name for value in model.graph.input]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = [
                problem
                for inputs, expected in data_sets
                for left, right in zip(
                    expected,
                    ReferenceEvaluator(model).run(None, dict(zip(names, inputs, strict=True))),
                    strict=True,
                )
                if (problem := difference(np.asarray(left), np.asarray(right), case.rtol, case.atol))
            ]
        verdict = f"fails it too: {found[0][:140]}" if found else "passes it"
    except Exception as error:  # noqa: BLE001  (that the evaluator cannot run it is the evidence)
        verdict = f"cannot run it: {type(error).__name__}: {error}"[:160]
    return f"output shapes {shape} from the inputs' types; the standard's evaluator {verdict}"


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


def read_journal(path: Path | None) -> dict[str, Outcome]:
    """The newest outcome of each case; empty without a journal."""
    if path is None or not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    return {row["name"]: Outcome(**row) for row in rows}


def known_exceptions() -> dict[str, str]:
    """Cases that may fail, with the reason."""
    lines = [line for line in EXCEPTIONS.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split(None, 1) for line in lines)


def summary(outcomes: list[Outcome], known: dict[str, str]) -> str:
    """The table: cases by verdict and reason."""
    rows: Counter[tuple[str, str]] = Counter()
    for outcome in outcomes:
        reason = ""
        if outcome.verdict == "unsupported":
            code, _, rest = outcome.reason.partition(": ")
            types = [word for word in ("bfloat16", "int4", "int2", "string") if word in rest]
            reason = types[0] if types else code
        elif outcome.verdict == "failed":
            reason = known.get(outcome.name, "NOT NAMED in mlf_exceptions.txt")
        rows[(outcome.verdict, reason)] += 1
    in_scope = sum(outcome.verdict != "unsupported" for outcome in outcomes)
    passed = sum(outcome.verdict == "passed" for outcome in outcomes)
    lines = [f"{count:>6}  {verdict:<12} {reason}".rstrip() for (verdict, reason), count in sorted(rows.items())]
    return "\n".join((*lines, f"{passed} of {in_scope} cases in scope passed; {len(outcomes)} cases in all"))


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--match", default="")
    parser.add_argument(
        "--kind",
        nargs="+",
        default=["node"],
        choices=("node", "simple", "light", "pytorch-operator", "pytorch-converted"),
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--journal", type=Path, help="keep outcomes here; those whose C code is still the same are not run again"
    )
    parser.add_argument("--slice", default="1/1", help="only this part of the cases: 2/8 is the second eighth")
    parser.add_argument("--evidence", action="store_true", help="check what the named exceptions say, and run nothing")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> int:
    arguments = parsed_arguments()
    _CASES.update(load_cases(arguments.kind, arguments.match))
    part, parts = (int(number) for number in arguments.slice.split("/"))
    names = sorted(_CASES)[part - 1 :: parts]
    known = known_exceptions()
    if arguments.evidence:
        for name in sorted(set(known) & set(names)):
            print(f"{name}: {known[name]}: {evidence(name)}", flush=True)
        return 0
    _EARLIER.update(read_journal(arguments.journal))
    outcomes: dict[str, Outcome] = {}
    context = multiprocessing.get_context("fork")
    _warm_up()
    with context.Pool(arguments.jobs) as pool:
        for outcome in pool.imap_unordered(run_case, names, chunksize=4):
            outcomes[outcome.name] = outcome
            if arguments.journal and outcome != _EARLIER.get(outcome.name):
                with arguments.journal.open("a") as journal:
                    journal.write(json.dumps(outcome._asdict()) + "\n")
            if outcome.verdict == "failed" and outcome.name not in known:
                print(f"{len(outcomes)}/{len(names)} {outcome.name}: {outcome.reason}", file=sys.stderr, flush=True)
    ordered = sorted(outcomes.values())
    for outcome in ordered:
        if outcome.verdict != "passed":
            print(f"{outcome.verdict:12} {outcome.name}: {outcome.reason.splitlines()[0] if outcome.reason else ''}")
    print(summary(ordered, known))
    if arguments.json:
        arguments.json.write_text(json.dumps([outcome._asdict() for outcome in ordered], indent=1))
    passing = sorted(name for name in known if name in outcomes and outcomes[name].verdict == "passed")
    if passing:
        print(f"named as exceptions, and passed: {', '.join(passing)}")
    unnamed = [outcome.name for outcome in ordered if outcome.verdict == "failed" and outcome.name not in known]
    return 1 if unnamed or passing else 0


if __name__ == "__main__":
    sys.exit(main())
