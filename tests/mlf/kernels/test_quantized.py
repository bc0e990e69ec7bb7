"""Quantised networks through a tarball: every output within one quantum of ONNX Runtime's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from several import Several, exported, kinds

import turnkey.mlf as mlf
from turnkey.mlf.sanitized import run_sanitized

pytestmark = pytest.mark.needs("emx_onnx_cgen")

FAST = ("-O1", "-march=native")


class Quantized(Several):
    """Graphs of quantised operators; the quantum of each output is kept, so that it is known what may differ."""

    def __init__(self, *, seed: int = 0, dtype: str = "uint8") -> None:
        super().__init__(seed=seed)
        self._dtype = dtype
        self.quanta: dict[str, float] = {}

    def quantum(self, scale: float, zero: int = 0, dtype: str | None = None) -> tuple[str, str]:
        """Scale and zero point as constants."""
        return self.constant(np.float32(scale)), self.constant(np.array(zero, dtype or self._dtype))

    def through(self, name: str, scale: float, zero: int = 0) -> str:
        """A tensor quantised and dequantised."""
        quantum = self.quantum(scale, zero)
        return self.add("DequantizeLinear", self.add("QuantizeLinear", name, *quantum), *quantum)

    def close(self, name: str, scale: float, zero: int = 0) -> None:
        """An output: quantised, and as numbers again."""
        made = self.through(name, scale, zero)
        self.quanta[made] = scale
        self.output(made)

    def weights(self, *shape: int, axis: int | None = 0, dtype: str = "int8") -> str:
        """Dequantised weights: of 7 bits, since ONNX Runtime's products of 8 saturate without VNNI."""
        low, high, middle = (-64, 64, 0) if dtype == "int8" else (0, 256, 120)
        stored = self.constant(self._generator.integers(low, high, shape).astype(dtype))
        count = () if axis is None else (shape[axis],)
        scale = self.constant(self._generator.uniform(0.002, 0.02, count).astype(np.float32))
        zero = self.constant(np.full(count, middle, dtype))
        return self.add("DequantizeLinear", stored, scale, zero, **({} if axis is None else {"axis": axis}))


def compare(several: Quantized, module: mlf.Module, *, cflags: tuple[str, ...] = FAST, cc: str | None = None) -> None:
    """The compiled module gives what ONNX Runtime gives, up to one quantum."""
    session = ort.InferenceSession(several.model().SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = dict(zip(several._outputs, session.run(None, several.sample), strict=True))
    found = module.build(cflags=cflags, cc=cc).run(several.sample)
    assert np.mean([value.std() > 0 for value in wanted.values()]) > 0.5, "constant results show nothing"
    apart = []
    for name, value in wanted.items():
        quanta = np.abs(found[name].astype(np.float64) - value) / several.quanta.get(name, 1e-5 * np.abs(value).max())
        assert quanta.max() <= 1.001, f"{name}: {quanta.max()} quanta apart"
        apart += list(quanta.reshape(-1) > 0.5)
    assert np.mean(apart) < 0.02, f"{np.mean(apart):.0%} of the values differ"


_CONVOLUTION = st.fixed_dictionaries(
    {
        "channels": st.integers(1, 20),
        "columns": st.integers(1, 36),
        "extent": st.tuples(st.integers(1, 4), st.integers(1, 3)),
        "image": st.tuples(st.integers(7, 11), st.integers(6, 11)),  # a dilated extent of 4 covers 7
        "stride": st.integers(1, 2),
        "dilation": st.integers(1, 2),
        "pad": st.integers(0, 2),
        "groups": st.sampled_from(["one", "two", "depthwise"]),
        "zero": st.integers(40, 127),
        "per_channel": st.booleans(),
        "bias": st.booleans(),
        "relu": st.booleans(),
    }
)


def convolution(several: Quantized, drawn: dict[str, Any]) -> None:
    groups = {"one": 1, "two": 2, "depthwise": drawn["channels"]}[drawn["groups"]]
    channels = drawn["channels"] * (2 if groups == 2 else 1)
    columns = channels if drawn["groups"] == "depthwise" else groups * drawn["columns"]
    x = several.through(several.input(2, channels, *drawn["image"]), 0.03, drawn["zero"])
    weight = several.weights(columns, channels // groups, *drawn["extent"], axis=0 if drawn["per_channel"] else None)
    bias = (several.weight(columns),) if drawn["bias"] else ()
    y = several.add(
        "Conv",
        x,
        weight,
        *bias,
        group=groups,
        strides=[drawn["stride"]] * 2,
        dilations=[drawn["dilation"]] * 2,
        pads=[min(drawn["pad"], drawn["extent"][0] - 1), 0, min(drawn["pad"], drawn["extent"][0]), drawn["pad"] // 2],
    )
    several.close(several.add("Relu", y) if drawn["relu"] else y, 0.06, drawn["zero"] // 2)


@settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.generate],  # each attempt to shrink would compile
)
@given(drawn=st.lists(_CONVOLUTION, min_size=3, max_size=3), dtype=st.sampled_from(["uint8", "int8"]))
def test_convolutions_of_any_shape_are_within_one_quantum(
    drawn: list[dict[str, Any]], dtype: str, tmp_path: Path
) -> None:
    several = Quantized(dtype=dtype)
    for each in drawn:
        convolution(several, each)
    module = exported(several.model(), tmp_path / "several.tar")
    assert {"quantized_product", "quantized_depthwise"} & {*kinds(module)}
    assert "generated" not in kinds(module)
    compare(several, module)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Quantized, Path]:
    """Every quantised operator that we know, in every way that changes its code."""
    several = Quantized()
    x = several.through(several.input(1, 6, 9, 7), 0.02, 128)
    several.close(several.add("Conv", x, several.weights(4, 6, 3, 3, dtype="uint8"), pads=[1, 1, 1, 1]), 0.05, 130)
    signal = several.through(several.input(1, 5, 20), 0.02, 100)
    several.close(several.add("Conv", signal, several.weights(3, 5, 4), auto_pad="SAME_UPPER"), 0.03, 90)
    three = several.through(several.input(1, 3, 5, 5), 0.02, 128)
    several.close(several.add("Conv", three, several.weights(3, 1, 3, 3), group=3), 0.01, 128)
    for transposed in (0, 1):
        row = several.through(several.input(1, 33), 0.03, 120)
        weight = several.weights(*((18, 33) if transposed else (33, 18)), axis=1 - transposed)
        several.close(several.add("Gemm", row, weight, several.weight(18), transB=transposed), 0.03, 128)
    stack = several.through(several.input(2, 7, 12), 0.03, 110)
    several.close(several.add("MatMul", stack, several.weights(12, 20, axis=1)), 0.04, 128)
    rows = several.through(several.input(5, 8), 0.03, 110)
    several.output(several.add("MatMul", rows, several.weights(8, 3, axis=1)))  # its result stays floats
    pairs = [[several.through(several.input(1, 3, 5), 0.02 + 0.01 * i, 100 + i) for i in range(2)] for _ in range(4)]
    for operator, pair in zip(("Add", "Sub", "Mul"), pairs, strict=False):
        several.close(several.add(operator, *pair), 0.04, 90)
    several.close(several.add("Clip", several.add("Add", *pairs[3]), *map(several.constant, _BOUNDS)), 0.03, 7)
    for operator in ("Sigmoid", "Tanh", "LeakyRelu", "HardSwish"):
        several.close(several.add(operator, several.through(several.input(4, 3), 0.03, 100)), 0.02, 60)
    several.close(several.through(several.input(4, 5), 0.03, 100), 0.05, 60)  # another quantum, nothing else
    same = several.through(several.input(1, 4, 8, 6), 0.03, 99)
    several.close(several.add("MaxPool", same, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), 0.03, 99)
    for pool, attributes in (
        ("AveragePool", {"kernel_shape": [3, 2], "pads": [1, 0, 1, 0]}),
        ("GlobalAveragePool", {}),
    ):
        image = several.through(several.input(1, 4, 8, 6), 0.03, 99)
        several.close(several.add(pool, image, **attributes), 0.01, 120)
    image = several.through(several.input(1, 2, 3, 4), 0.03, 99)
    several.close(several.add("Transpose", image, perm=[0, 2, 3, 1]), 0.03, 99)
    image = several.through(several.input(1, 2, 3, 4), 0.03, 99)
    several.close(several.add("Reshape", image, several.constant(np.array([4, 6]))), 0.03, 99)
    halves = [several.through(several.input(1, 2 + i, 5), 0.02 * (i + 1), 90) for i in range(2)]
    several.close(several.add("Concat", *halves, axis=1), 0.04, 90)
    path = tmp_path_factory.mktemp("quantized") / "several.tar"
    exported(several.model(), path)
    return several, path


_BOUNDS = (np.float32(0), np.float32(2))


def test_every_quantised_operator_has_a_kernel_of_ours_and_is_within_one_quantum(
    network: tuple[Quantized, Path],
) -> None:
    several, path = network
    module = mlf.load(path).module()
    assert "generated" not in kinds(module)
    covered = " ".join(str(kernel["nodes"]) for kernel in module.metadata.turnkey["kernels"])
    assert "Conv" in covered
    compare(several, module)


def test_plain_c99_gives_the_same_quanta(network: tuple[Quantized, Path]) -> None:
    several, path = network
    flags = ("-O1", "-std=c99", "-pedantic-errors", "-DTURNKEY_MLF_SCALAR")
    compare(several, mlf.load(path).module(), cflags=flags)


@pytest.mark.needs("clang")
def test_clang_gives_the_same_quanta(network: tuple[Quantized, Path]) -> None:
    several, path = network
    compare(several, mlf.load(path).module(), cc="clang")


def test_a_bias_for_each_row_is_not_taken_for_one_of_each_column(tmp_path: Path) -> None:
    several = Quantized()
    row = several.through(several.input(6, 8), 0.03, 120)
    several.close(several.add("Gemm", row, several.weights(8, 6, axis=1), several.weight(6, 1)), 0.03, 128)
    compare(several, exported(several.model(), tmp_path / "several.tar"))


@pytest.mark.nightly
def test_sanitizers_find_nothing_in_vectors_of_sixteen_bytes(network: tuple[Quantized, Path]) -> None:
    several, path = network
    run_sanitized(mlf.load(path).module(), [several.sample], cc=None)


def test_operators_on_whole_numbers_are_exact(tmp_path: Path) -> None:
    several = Quantized()
    image, row = several.input(1, 5, 7, 6), several.input(4, 10)
    zero = several.constant(np.uint8(117))
    scales = several.constant(np.float32(0.02))
    bytes_of = {name: several.add("QuantizeLinear", name, scales, zero) for name in (image, row)}
    weights = several.constant(several._generator.integers(-64, 64, (8, 5, 3, 3)).astype(np.int8))
    matrix = several.constant(several._generator.integers(-64, 64, (10, 17)).astype(np.int8))
    per_column = several.constant(several._generator.integers(-3, 4, 17).astype(np.int8))
    several.output(
        several.add("Cast", several.add("ConvInteger", bytes_of[image], weights, zero, pads=[1, 1, 1, 1]), to=1),
        several.add("Cast", several.add("MatMulInteger", bytes_of[row], matrix, zero, per_column), to=1),
    )
    dynamic = several.add("DynamicQuantizeLinear", several.input(3, 10), outputs=3)
    found = (dynamic, matrix, f"{dynamic}_2")
    several.output(several.add("Cast", several.add("MatMulInteger", *found), to=1))
    result = several.quantum(0.05, 130)
    several_scale = several.constant(several._generator.uniform(0.002, 0.02, 8).astype(np.float32))
    no_zero = several.constant(np.zeros(8, np.int8))
    bias = several.constant(several._generator.integers(-999, 999, 8).astype(np.int32))
    convolved = several.add(
        "QLinearConv", bytes_of[image], scales, zero, weights, several_scale, no_zero, *result, bias, strides=[2, 1]
    )
    single = several.quantum(0.01, 0, "int8")
    product = several.add("QLinearMatMul", bytes_of[row], scales, zero, matrix, *single, *result)
    for name in (convolved, product):
        made = several.add("DequantizeLinear", name, *result)
        several.quanta[made] = 0.05
        several.output(made)
    module = exported(several.model(), tmp_path / "several.tar")
    assert kinds(module).count("quantized_product") == 5
    compare(several, module)


@pytest.mark.parametrize("opset", [13, 20])
def test_weights_of_operators_on_floats_are_dequantised_at_export(opset: int, tmp_path: Path) -> None:
    several = Quantized()
    several._opset = opset
    rows = several.input(3, 8)
    several.output(several.add("Add", rows, several.weights(8, axis=None)))
    assert kinds(exported(several.model(), tmp_path / "several.tar")) == ["elementwise"]


def test_what_onnx_runtimes_quantiser_writes_is_computed_on_bytes(tmp_path: Path) -> None:
    import models
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    generator = np.random.default_rng(0)
    samples = [{"image": generator.standard_normal((1, 2, 8, 8)).astype(np.float32)} for _ in range(4)]

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(samples)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._left, None)

    source, target = tmp_path / "cnn.onnx", tmp_path / "quantized.onnx"
    onnx.save(models.model_of(models.CNN), source)
    quantize_static(
        source,
        target,
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        reduce_range=True,
    )
    made = mlf.export(target, tmp_path / "quantized.tar", cflags=FAST)  # its check allows for roundings
    module = made.library.module()
    assert kinds(module).count("quantized_product") == 2
    assert {"generated", "convolution", "matmul"}.isdisjoint(kinds(module))
    runner = module.build(cflags=FAST)
    wanted = models.outputs_of(onnx.load(target), samples[0])["scores"]
    assert np.abs(runner.run(samples[0])["scores"] - wanted).max() < 1 / 255 * 1.01
    for sample, repeated in module.samples():
        assert np.array_equal(runner.run(sample)["scores"], repeated["scores"]), "boards repeat what was verified"
