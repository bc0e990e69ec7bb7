"""Exports and benchmarks: any model, any input, any number of calls, and everything as before afterwards."""

from __future__ import annotations

import copy
import csv
import gc
import io
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from lexer_models import FAST, Child, Noisy, Tiny, TwoInTwoOut, Unsure
from rich.console import Console
from torch import nn

from turnkey import Lexer, LexerContext
from turnkey.errors import ConversionError, InputError, MissingDependencyError, ModelError, UsageError
from turnkey.lexer import ValidationError
from turnkey.measure import Record
from turnkey.runtimes.onnxruntime import OnnxRuntimeRunner


def names_in(path: Path) -> tuple[list[str], list[str]]:
    graph = onnx.load(path).graph
    return [value.name for value in graph.input], [value.name for value in graph.output]


@pytest.fixture(scope="module")
def benchmarked() -> tuple[LexerContext, Any]:
    """One benchmark with both engines, looked at by several tests."""
    context = LexerContext(config={})
    return context, context.benchmark(Tiny(), torch.randn(5, 4), num_iterations=40, enable_stdout=False)


def test_both_engines_stand_in_one_report_with_the_samples_asked_for(benchmarked: tuple[LexerContext, Any]) -> None:
    _, report = benchmarked

    assert [row.engine for row in report] == ["onnxruntime", "torch"]
    assert [row.num_samples for row in report] == [40, 40]
    assert [len(list(row)) for row in report] == [40, 40]
    assert sum(1 for _ in report.samples()) == 80
    assert isinstance(report.record, Record)
    torch_row = report.row("torch")
    assert torch_row.mean_ms == pytest.approx(np.mean(list(torch_row)))
    assert torch_row.p90_ms == pytest.approx(np.percentile(list(torch_row), 90))
    assert torch_row.variance == pytest.approx(np.var(list(torch_row)))
    assert (torch_row.version, torch_row.device, torch_row.providers) == (torch.__version__, "cpu", "eager")
    assert report.row("onnxruntime").providers == "CPUExecutionProvider"
    assert {row.batch_size for row in report} == {5}  # LD11: inferred
    assert all(row.throughput_per_sec == pytest.approx(5 * 1000 / row.mean_ms) for row in report)
    assert all(row.warmup_calls > 0 and row.first_call_ms and row.low_ms for row in report)  # LD9
    assert report[0].timestamp != report[1].timestamp  # LD12: the true end of each
    assert report.environment["processor"]


def test_a_report_can_be_had_in_every_form(benchmarked: tuple[LexerContext, Any], tmp_path: Path) -> None:
    _, report = benchmarked

    text = report.to_csv(tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_text() == text
    assert text.splitlines()[0].startswith("num_samples,variance,mean_ms,p50_ms")
    numbers = ("variance", "mean_ms", "p99_ms", "throughput_per_sec", "std_ms")
    assert not any("e" in row[name] for row in csv.DictReader(io.StringIO(text)) for name in numbers)
    assert report.to_dict()["rows"][1]["engine"] == "torch"
    assert "| Torch" in report.to_markdown()
    assert "<td>Torch</td>" in report.to_html()
    assert "mean ms" in str(report)
    assert "float64" not in str(report)  # LD25
    console = Console(record=True, width=200, file=io.StringIO())
    console.print(report)
    assert "Torch" in console.export_text()


@pytest.mark.needs("pandas")
def test_a_report_and_its_export_are_data_frames_too(benchmarked: tuple[LexerContext, Any]) -> None:
    import pandas

    _, report = benchmarked
    assert list(report.to_dataframe()["engine"]) == ["onnxruntime", "torch"]
    assert isinstance(report.to_dataframe(), pandas.DataFrame)
    assert isinstance(report.export.to_dataframe(), pandas.DataFrame)


def test_a_second_call_model_and_context_work(benchmarked: tuple[LexerContext, Any]) -> None:
    """LD1: one benchmark per process."""
    context, _ = benchmarked
    before = len(context.runs)
    report = context.benchmark(Child(), torch.randn(1, 4), num_iterations=3, enable_onnxruntime=False, **FAST)

    assert report.class_name == "Child"  # LB8.6: the instance's own class
    assert report.export is not None
    assert report.export.path.name == "Child.onnx"
    assert len(context.runs) == before + 1
    other = LexerContext(config={})
    assert other.export(Tiny(), torch.randn(1, 4), **FAST).validation == "pass"
    assert (len(other.runs), len(context.runs)) == (1, before + 1)


def test_two_inputs_and_two_outputs_have_the_decorators_names_and_a_free_batch() -> None:
    """LD2, LD3, LD4: one tensor in and one out, and a dynamic axis for the names input and output only."""
    context = LexerContext(config=FAST)
    a, b = torch.randn(3, 4), torch.randn(3, 4)

    for given in ((a, b), [a, b], {"second": b, "first": a}):
        result = context.export(TwoInTwoOut(), given)
        assert [check.name for check in result] == ["total", "product"]
        assert all(check.passed and check.max_abs_error is not None for check in result)
    assert names_in(result.path) == (["left", "right"], ["total", "product"])
    import onnxruntime

    session = onnxruntime.InferenceSession(str(result.path))
    big = np.ones((7, 4), np.float32)
    assert [out.shape for out in session.run(None, {"left": big, "right": big})] == [(7, 4), (7, 4)]


def test_nested_inputs_keyword_arguments_and_arrays_are_inputs() -> None:
    class Nested(nn.Module):
        def forward(self, pair: dict[str, Any], *, scale: torch.Tensor, flag: bool = False) -> torch.Tensor:
            return pair["a"] * scale + pair["b"][0] if flag else pair["a"]

    one = torch.ones(2, 3)
    result = LexerContext(config=FAST).export(
        Nested(), ({"a": one, "b": [one]},), input_kwargs={"scale": np.ones((2, 3), np.float32), "flag": True}
    )

    assert names_in(result.path)[0] == ["pair.a", "pair.b.0", "scale"]
    assert result.validation == "pass"


def test_names_that_do_not_fit_are_refused_before_anything_is_timed() -> None:
    context = LexerContext(config=FAST)

    with pytest.raises(UsageError, match="input_names has 1 names, and the model has 2 inputs"):
        context.benchmark(TwoInTwoOut(), (torch.ones(1, 4), torch.ones(1, 4)), input_names=["one"])
    with pytest.raises(UsageError, match="output_names has 3 names"):
        context.export(Tiny(), torch.ones(1, 4), output_names=["a", "b", "c"])
    with pytest.raises(UsageError, match="have the same name"):
        context.export(Tiny(), torch.ones(1, 4), output_names=["x"])
    with pytest.raises(UsageError, match="holds no tensor"):
        context.export(Tiny(), 4)
    with pytest.raises(UsageError, match="not a class"):
        context.export(Tiny, torch.ones(1, 4))
    with pytest.raises(ModelError, match="cannot be called with this input"):
        context.benchmark(Tiny(), torch.ones(1, 5))
    with pytest.raises(UsageError, match="did you mean enable_csv"):
        context.benchmark(Tiny(), torch.ones(1, 4), enable_csvs=True)
    assert context.runs == ()
    assert context.export(Tiny(), torch.ones(1, 4)).validation == "pass"


def test_models_without_a_decorator_and_plain_functions_are_models_too() -> None:
    """LD20."""
    inner = nn.Linear(3, 2).train()

    def scaled(x: torch.Tensor) -> torch.Tensor:
        return inner(x) * 2

    context = LexerContext(config=FAST)
    found = [context.export(model, torch.ones(2, 3)) for model in (nn.Linear(3, 2), scaled, inner.forward)]

    assert [result.path.stem for result in found] == ["Linear", "scaled", "forward"]
    assert names_in(found[1].path) == (["x"], ["output"])
    assert inner.training


@pytest.mark.parametrize("fails", [False, True])
def test_a_model_in_training_mode_is_measured_in_evaluation_mode_and_left_as_it_was(fails: bool) -> None:
    """LD7, LD8: dropout failed the validation, statistics changed, gradients stayed on."""
    torch.manual_seed(0)
    model = Noisy().train()
    model.drop.eval()  # each submodule has its own flag
    model.linear.weight.grad = torch.ones(4, 4)
    before, flags = copy.deepcopy(model.state_dict()), [part.training for part in model.modules()]
    x = torch.randn(2, 4, requires_grad=True)
    state, threads, collecting = torch.get_rng_state(), torch.get_num_threads(), gc.isenabled()
    context = LexerContext(config=FAST)

    if fails:
        with pytest.raises(ConversionError):
            context.benchmark(model, x, num_iterations=2, engines=["mlf"], engine_options={"mlf": {"no": 1}})
    else:
        report = context.benchmark(model, x, num_iterations=5)
        assert {row.validation for row in report} == {"pass"}

    assert [part.training for part in model.modules()] == flags
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(model.linear.weight.grad, torch.ones(4, 4))
    assert model.linear.weight.requires_grad
    assert torch.is_grad_enabled()
    assert not model.calls.is_inference()
    assert torch.equal(torch.get_rng_state(), state)
    assert (torch.get_num_threads(), gc.isenabled()) == (threads, collecting)
    model(torch.randn(2, 4)).sum().backward()


def test_a_file_that_computes_something_else_is_told_and_the_context_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    context = LexerContext(config={"exporter": "torchscript"})
    x = torch.ones(2, 4)

    with pytest.raises(ValidationError, match="does not compute") as caught:
        context.benchmark(Unsure(), x, num_iterations=2)
    assert isinstance(caught.value, AssertionError)
    assert caught.value.result is not None
    assert caught.value.result.max_abs_error
    assert "validation fail" in capsys.readouterr().out
    assert [(run.error != "", run.export is not None) for run in context.runs] == [(True, True)]

    report = context.benchmark(Unsure(), x, num_iterations=2, on_validation_failure="warn")
    assert {row.validation for row in report} == {"fail"}
    off = context.benchmark(Unsure(), x, num_iterations=2, enable_export_validation=False)  # LD13: forwarded
    assert {row.validation for row in off} == {"off"}


def test_both_engines_work_in_inference_mode_and_nothing_heavy_is_imported_before_it_is_used() -> None:
    """LD8, LD22."""
    seen: list[tuple[bool, bool]] = []

    class Watching(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append((torch.is_inference_mode_enabled(), self.training))
            return super().forward(x)

    off = {"enable_onnxruntime": False, "enable_onnx_checks": False}
    LexerContext(config=FAST).benchmark(Watching(2, 2).train(), torch.ones(1, 2), num_iterations=3, **off)
    assert seen[-3:] == [(True, False)] * 3

    program = "import sys; from turnkey import Lexer, LexerContext; LexerContext(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "onnx", "onnxruntime", "numpy", "pandas", "rich"} & set(loaded)


def test_two_reports_are_compared_engine_by_engine(benchmarked: tuple[LexerContext, Any]) -> None:
    _, report = benchmarked

    assert [(each.engine, each.verdict is not None) for each in report.compare(report)] == [
        ("onnxruntime", True),
        ("torch", True),
    ]


def test_outputs_that_are_zero_prove_nothing_and_are_said_to() -> None:
    model = nn.Linear(2, 2)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)

    result = LexerContext(config=FAST).export(model, torch.ones(1, 2))

    assert result.validation == "unproven"
    assert "proves nothing" in str(result)


def test_the_four_combinations_of_switches() -> None:
    """LB8.2: what is packed and what is checked."""
    context = LexerContext(config={**FAST, "num_iterations": 2})
    x = torch.ones(1, 4)

    neither = context.benchmark(Tiny(), x, enable_onnxruntime=False, enable_onnx_checks=False)
    assert (neither.export, [row.engine for row in neither]) == (None, ["torch"])
    checks = context.benchmark(Tiny(), x, enable_onnxruntime=False, enable_pytorch=False)
    assert checks.export is not None
    assert checks.export.checked
    assert len(checks) == 0
    assert bool(checks)
    unchecked = context.export(Tiny(), x, enable_onnx_checks=False)
    assert not unchecked.checked


def test_a_given_batch_size_counts_and_is_remarked_where_the_input_says_another() -> None:
    report = LexerContext(config={**FAST, "enable_onnxruntime": False, "enable_onnx_checks": False}).benchmark(
        Tiny(), torch.ones(2, 4), num_iterations=3, batch_size=4
    )

    assert report[0].throughput_per_sec == pytest.approx(4000 / report[0].mean_ms)
    assert "batch_size is given as 4, the first input has 2" in report[0].notes


def test_the_shipped_number_of_iterations_is_bounded_by_time() -> None:
    """LB8.4: a million calls of a model of 50 ms are 14 hours."""
    only_torch = {"enable_onnxruntime": False, "enable_onnx_checks": False, "enable_stdout": False}

    report = LexerContext(config=only_torch).benchmark(Tiny(), torch.ones(1, 4), max_seconds=0.05)
    assert 10 <= report[0].num_samples < 100_000
    assert LexerContext(config=only_torch).benchmark(Tiny(), torch.ones(1, 4), max_seconds=1e-9)[0].num_samples == 10


def test_the_device_is_the_one_that_an_engine_really_ran_on() -> None:
    """LD10: a constant. Without a GPU the provider that is asked for falls back, which must be seen."""
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("here it does not fall back")
    context = LexerContext(config={**FAST, "num_iterations": 2})

    [row] = context.benchmark(Tiny(), torch.ones(1, 4), enable_pytorch=False, device="cuda")
    assert (row.device, row.providers) == ("cpu", "CPUExecutionProvider")


@pytest.mark.parametrize(
    ("placement", "device"),
    [({"CPUExecutionProvider": 3}, "cpu"), ({"CUDAExecutionProvider": 2, "CPUExecutionProvider": 1}, "cuda")],
)
def test_the_device_is_where_the_nodes_are(
    placement: dict[str, int], device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe = OnnxRuntimeRunner.describe
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    said = {"device": "CUDAExecutionProvider", "providers": both, "placement": placement}
    monkeypatch.setattr(OnnxRuntimeRunner, "describe", lambda runner: {**describe(runner), **said})
    context = LexerContext(config={**FAST, "num_iterations": 2})

    [row] = context.benchmark(Tiny(), torch.ones(1, 4), enable_pytorch=False, device="cuda")
    assert row.device == device


def test_engines_on_different_devices_are_said_not_to_be_comparable(monkeypatch: pytest.MonkeyPatch) -> None:
    """LD10."""
    describe = OnnxRuntimeRunner.describe
    elsewhere = {"device": "CUDAExecutionProvider", "fallback": None}
    monkeypatch.setattr(OnnxRuntimeRunner, "describe", lambda runner: {**describe(runner), **elsewhere})

    report = LexerContext(config={**FAST, "num_iterations": 2}).benchmark(Tiny(), torch.ones(1, 4))

    assert "not comparable, different devices: onnxruntime on CUDAExecutionProvider, torch on cpu" in str(report)
    assert all("not comparable" in row.notes for row in report)


def test_more_engines_go_by_name_and_one_that_is_not_installed_is_refused_first() -> None:
    context = LexerContext(config={**FAST, "num_iterations": 3})

    report = context.benchmark(Tiny(), torch.ones(1, 4), enable_onnxruntime=False, engines=["onnx-reference"])
    assert [row.engine for row in report] == ["torch", "onnx-reference"]
    with pytest.raises((MissingDependencyError, UsageError)):
        context.benchmark(Tiny(), torch.ones(1, 4), engines=["tensorrt"])


def test_threads_may_share_a_model_and_contexts() -> None:
    """LD1: nothing is shared between contexts; the model of two threads keeps its mode."""
    model, shared = (
        Noisy().train(),
        LexerContext(config={**FAST, "enable_onnxruntime": False, "enable_onnx_checks": False}),
    )
    failures: list[BaseException] = []

    def work(context: LexerContext) -> None:
        try:
            context.benchmark(model, torch.ones(2, 4), num_iterations=2)
        except BaseException as error:  # noqa: BLE001 - carried to the main thread
            failures.append(error)

    workers = [threading.Thread(target=work, args=(shared,)) for _ in range(3)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()

    assert failures == []
    assert sorted(run.number for run in shared.runs) == [1, 2, 3]
    assert model.training


def test_a_compiled_instance_is_named_by_its_own_class() -> None:
    """LB8.6: OptimizedModule.csv."""
    compiled = torch.compile(Tiny(), backend="eager")

    assert LexerContext(config=FAST).export(compiled, torch.ones(1, 4)).path.name == "Tiny.onnx"


def test_the_working_directory_goes_with_the_context(tmp_path: Path) -> None:
    """LD16: files under fixed names in a fixed folder, never deleted."""
    with LexerContext(config=FAST) as context:
        path = context.export(Tiny(), torch.ones(1, 4)).path
        assert path.is_file()
    assert not path.exists()

    kept = LexerContext(config=FAST, workdir=tmp_path)
    path = kept.export(Tiny(), torch.ones(1, 4)).path
    kept.close()
    assert path.is_file()
    with pytest.raises(InputError, match="no directory"):
        LexerContext(config=FAST, workdir=tmp_path / "missing")


def test_a_closed_context_refuses_to_go_on_and_makes_no_directory(tmp_path: Path) -> None:
    with LexerContext(config=FAST) as context:
        folder = context.export(Tiny(), torch.ones(1, 4)).path.parent.parent
    kept = LexerContext(config=FAST, workdir=tmp_path)
    kept.close()
    kept.close()

    for closed in (context, kept):
        with pytest.raises(UsageError, match="is closed"):
            closed.export(Tiny(), torch.ones(1, 4))
        with pytest.raises(UsageError, match="is closed"):
            closed.benchmark(Tiny(), torch.ones(1, 4))
        with pytest.raises(UsageError, match="is closed"):
            closed.flush("late")
    assert not folder.exists()
    assert not Path("late.lexer").exists()


def test_the_handle_exports_and_benchmarks_too() -> None:
    context = LexerContext(config={**FAST, "enable_onnxruntime": False, "enable_onnx_checks": False})
    model = Tiny()

    assert model.lexer.benchmark_model(torch.ones(1, 4), context=context, num_iterations=2).class_name == "Tiny"
    assert len(context.runs) == 1


@pytest.mark.slow
def test_a_transformer_encoder_survives_with_default_settings() -> None:
    """LD5: opset 10 knew neither attention nor what layers are made of today. (The other network: test_pages.)"""
    context = LexerContext(config={"enable_stdout": False})
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 1)
    Lexer.wrap(encoder, input_names=["tokens"], output_names=["encoded"])

    report = context.benchmark(encoder, torch.randn(2, 5, 16), num_iterations=5)

    assert [row.engine for row in report] == ["onnxruntime", "torch"]
    assert {row.validation for row in report} == {"pass"}
    assert report.export is not None
    assert report.export.opset == 20


@pytest.mark.slow
def test_another_effort_measures_in_fresh_processes_and_gives_verdicts() -> None:
    report = LexerContext(config=FAST).benchmark(Tiny(), torch.ones(1, 4), effort="quick", num_iterations=20)

    assert [row.num_samples for row in report] == [20, 20]
    assert report.record is not None
    assert not any("replication" in note for note in report.record.run["notes"])
