"""Modules optimised where they are: recorded, optimised per structure of inputs, and served by the winner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import turnkey
import turnkey.navigator as nav
from turnkey.errors import ArtifactError
from turnkey.navigator.exceptions import ConfigurationError, ConfigurationWarning, NotFoundError
from turnkey.navigator.wrapped_module import forget, registered


class Encoder(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)
        self.width = 3

    def forward(self, x: torch.Tensor, *, scale: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        y = self.linear(x)
        return {"y": y if scale is None else y * scale, "x": x.relu()}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(nav.inplace_config, "cache_dir", tmp_path / "inplace")
    yield tmp_path / "inplace"
    for name in registered():
        forget(name)


CONFIG = nav.OptimizeConfig(
    target_formats=["torchscript"],
    runners=["TorchScriptCPU"],
    custom_configs=[nav.TorchScriptConfig(jit_type="trace", strict=False)],
    profiler_config=nav.ProfilerConfig(batch_sizes=[1], measurement_request_count=3, stability_percentage=1000.0),
)


def test_a_wrapped_module_is_what_it_was_until_it_is_optimised() -> None:
    encoder = Encoder().eval()
    wrapped = turnkey.Module(encoder, name="encoder")
    x = torch.randn(2, 4)
    assert isinstance(wrapped, torch.nn.Module)
    assert wrapped.width == 3
    assert torch.equal(wrapped(x)["y"], encoder(x)["y"])
    assert not wrapped.is_optimized
    with pytest.raises(ConfigurationError, match="wrapped already"):
        turnkey.Module(Encoder(), name="encoder")
    with pytest.raises(ConfigurationError):
        turnkey.Module(Encoder(), name="../up")


def test_what_was_never_optimised_or_never_called_is_told() -> None:
    with pytest.raises(ConfigurationError, match="no module is wrapped"):
        nav.optimize(lambda sample: None, [(1, 0)])
    turnkey.Module(Encoder(), name="encoder")
    with pytest.raises(NotFoundError, match="not optimised before"):
        turnkey.load_optimized()
    with pytest.raises(ConfigurationError, match="none of the wrapped"):
        nav.optimize(lambda sample: None, [(1, 0)])
    for wrong in (torch.ones(2, 4), 5, (1, 2, 3)):
        with pytest.raises(ConfigurationError, match="batch size, sample"):
            nav.optimize(lambda sample: None, [wrong])  # type: ignore[list-item]


def test_a_timer_is_told_every_call_and_engines_are_built_in_the_modules_precision() -> None:
    told: list[tuple[str, float]] = []
    wrapped = turnkey.Module(
        Encoder().eval(), name="encoder", timer=lambda name, seconds: told.append((name, seconds)), precision="fp16"
    )
    wrapped(torch.ones(2, 4))
    wrapped(torch.ones(2, 4))
    assert [name for name, _ in told] == ["encoder", "encoder"]
    assert all(0 < seconds < 60 for _, seconds in told)
    [engine] = wrapped._configs(nav.OptimizeConfig(target_formats=["onnx", "trt"]))
    assert isinstance(engine, nav.TensorRTConfig)
    assert engine.precision == (nav.TensorRTPrecision.FP16,)
    own = nav.TensorRTConfig(precision="fp32")
    assert wrapped._configs(nav.OptimizeConfig(target_formats=["trt"], custom_configs=[own])) == [own], (
        "the caller's own stays"
    )
    with pytest.raises(ConfigurationError, match="precision"):
        turnkey.Module(Encoder(), precision="fp3")
    with pytest.raises(ConfigurationError, match="no method"):
        turnkey.Module(Encoder(), forward_func="encode")
    with pytest.raises(ConfigurationError, match="what is wrapped"):
        turnkey.Module(len)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="timer"):
        turnkey.Module(Encoder(), timer="stopwatch")  # type: ignore[arg-type]


class Counting(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, int]:
        return x.relu(), int(x.shape[0])


def test_a_module_that_returns_more_than_tensors_answers_itself_and_says_so() -> None:
    wrapped = turnkey.Module(Counting().eval(), name="counting")
    with pytest.warns(ConfigurationWarning, match="more than tensors"):
        nav.optimize(lambda sample: wrapped(sample), [(2, torch.ones(2, 4))], CONFIG)
    assert not wrapped.is_optimized
    assert wrapped(torch.ones(3, 4))[1] == 3


def test_each_runtime_is_timed_on_every_module_that_has_it_and_on_no_other() -> None:
    from types import SimpleNamespace

    from turnkey.navigator.format import Format
    from turnkey.navigator.inplace_profile import _ways

    class Stub:
        """A wrapped module that was optimised by an earlier process: it has recorded nothing in this one."""

        wrapped = None

        def __init__(self, *runners: str) -> None:
            self.runners = runners
            self.structure = SimpleNamespace(runner=None)

        def packages(self) -> dict[str, Any]:
            config = SimpleNamespace(key="onnx", format=Format.ONNX)
            entries = [
                SimpleNamespace(
                    key=f"onnx @ {name}",
                    model=SimpleNamespace(model_config=config),
                    runner=SimpleNamespace(runner_name=name),
                )
                for name in self.runners
            ]
            package = SimpleNamespace(
                load_source_model=lambda model: None,
                candidates=lambda include_source: SimpleNamespace(entries=entries),
                runner_of=lambda key, name, device: SimpleNamespace(name=name, activate=lambda: None),
            )
            return {"0123456789ab": package}

        def structure_at(self, key: str) -> Any:
            return self.structure

        def run_eager(self) -> None:
            self.structure.runner = None

        def served_by(self) -> str:
            return "eager" if self.structure.runner is None else self.structure.runner.name

    modules: Any = {"both": Stub("A", "B"), "one": Stub("A")}
    seen = {}
    for name, choose in _ways(modules, None, None).items():
        choose()
        seen[name] = [each.served_by() for each in modules.values()]
    assert seen == {"eager": ["eager", "eager"], "onnx @ A": ["A", "A"], "onnx @ B": ["B", "eager"]}


@pytest.mark.nightly
def test_a_module_is_optimised_served_loaded_again_and_shipped(cache: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = Encoder().eval()
    wrapped = turnkey.Module(encoder, name="encoder")
    samples = [(2, torch.randn(2, 4)) for _ in range(3)]
    nav.optimize(lambda sample: wrapped(sample), samples, CONFIG)
    assert wrapped.is_optimized
    assert not list(cache.rglob("*.pkl"))
    x = torch.randn(5, 4)
    with torch.no_grad():
        expected = encoder(x)
        found = wrapped(x)
    assert list(found) == ["y", "x"], "in the module's own structure"
    assert torch.allclose(found["y"], expected["y"], atol=1e-6)
    [structure] = wrapped.structures.values()
    assert structure.runner is not None
    scaled = wrapped(x, scale=torch.tensor(2.0))
    assert torch.allclose(scaled["y"], expected["y"] * 2, atol=1e-6), "another structure: the module itself"

    nav.bundle.save(tmp_path / "all.bundle", tags={"prod"})
    forget("encoder")
    again = turnkey.Module(encoder, name="encoder")
    turnkey.load_optimized()
    assert again.is_optimized
    assert torch.allclose(again(x)["y"], expected["y"], atol=1e-6)
    times = nav.profile(lambda sample: again(sample), samples[:1], window_size=3, stability_percentage=1000.0)
    assert {"eager", "torchscript-trace @ TorchScriptCPU"} <= set(times)
    assert times["eager"][0]["request_count"] > 0
    forget("encoder")

    nav.inplace_config.cache_dir = tmp_path / "other"
    assert nav.bundle.is_matching(tmp_path / "all.bundle", tags={"prod"})
    assert not nav.bundle.is_matching(tmp_path / "all.bundle", tags={"test"})
    with pytest.raises(ArtifactError, match="another machine or purpose"):
        nav.bundle.load(tmp_path / "all.bundle", tags={"test"})
    nav.bundle.load(tmp_path / "all.bundle", tags={"prod"})
    third = turnkey.Module(encoder, name="encoder")
    turnkey.load_optimized()
    assert third.is_optimized, "bundles use the one setting of the cache"


@pytest.mark.defect("ND22")
def test_a_bundle_that_was_changed_is_refused(cache: Path, tmp_path: Path) -> None:
    import zipfile

    (cache / "encoder" / "k").mkdir(parents=True)
    (cache / "encoder" / "k" / "inplace.json").write_text("{}")
    nav.bundle.save(tmp_path / "b.bundle")
    members: dict[str, Any] = {}
    with zipfile.ZipFile(tmp_path / "b.bundle") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["encoder/k/inplace.json"] = b"[]"
    with zipfile.ZipFile(tmp_path / "b.bundle", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ArtifactError, match="cannot be used") as raised:
        nav.bundle.load(tmp_path / "b.bundle")
    assert "encoder/k/inplace.json is not what the manifest says" in raised.value.evidence


@pytest.mark.defect("ND28")
@pytest.mark.parametrize(("member", "is_refused"), [("model.plan", True), ("model.onnx", False)])
def test_a_bundle_with_engines_is_for_one_gpu_and_one_version_of_cuda_and_tensorrt(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: str, is_refused: bool
) -> None:
    (cache / "encoder").mkdir(parents=True)
    (cache / "encoder" / member).write_bytes(b"x")
    nav.bundle.save(tmp_path / "b.bundle")
    assert nav.bundle.is_matching(tmp_path / "b.bundle")
    from turnkey.navigator import bundle

    other = {**bundle._environment(), "gpu": "Another", "tensorrt": "10.9"}
    monkeypatch.setattr(bundle, "_environment", lambda: other)
    assert nav.bundle.is_matching(tmp_path / "b.bundle") is not is_refused
    if is_refused:
        with pytest.raises(ArtifactError, match="another machine") as raised:
            nav.bundle.load(tmp_path / "b.bundle")
        assert "gpu: made on" in raised.value.evidence
        assert "tensorrt: made on" in raised.value.evidence
    monkeypatch.setattr(bundle, "_environment", lambda: {**other, "os": "Plan 9"})
    assert not nav.bundle.is_matching(tmp_path / "b.bundle")
