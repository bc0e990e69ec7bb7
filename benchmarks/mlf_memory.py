"""Planned memory of real networks: workspace against the lower bound, beside planners that reuse nothing or greedily.

    python benchmarks/mlf_memory.py                     # plan all networks; prints a table
    python benchmarks/mlf_memory.py --run               # also export, compile, run and compare with ONNX Runtime
    python benchmarks/mlf_memory.py --only unet bert    # those whose name contains a word
    python benchmarks/mlf_memory.py --json results.json

Networks: the nine light ones of the onnx package and torch ones, all with random weights. The exit
code is 1 if fewer than 90 % reach their lower bound, or one is above 1.02 times it without being proven least, or
(with --run) a float output differs from ONNX Runtime's by more than 1e-5 of its largest value.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import onnx


class Row(NamedTuple):
    """One network's memory, in bytes."""

    name: str
    nodes: int
    calls: int
    parameters: int
    workspace: int
    bound: int
    proven: bool
    algorithm: str
    no_reuse: int
    greedy: int
    unshared_bound: int
    lower_seconds: float
    plan_seconds: float
    max_rel: float | None = None


def light_networks() -> Iterator[tuple[str, Callable[[], onnx.ModelProto]]]:
    """Those that ship with onnx."""
    directory = Path(onnx.__file__).parent / "backend/test/data/light"
    for path in sorted(directory.glob("light_*.onnx")):
        yield path.stem.removeprefix("light_"), lambda path=path: _with_weights(onnx.load(path))


def _with_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Light files make their weights by ConstantOfShape, all of one value; here they get seeded random ones."""
    import numpy as np

    generator = np.random.default_rng(0)
    shapes = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape" or node.input[0] not in shapes:
            kept.append(node)
            continue
        extents = [int(extent) for extent in shapes[node.input[0]]]
        if len(extents) > 1:  # variance kept from layer to layer
            values = generator.standard_normal(extents, np.float32) / np.sqrt(np.prod(extents[1:]) / 2)
        else:  # biases, and the parameters of normalisation, which must be positive
            values = generator.uniform(0.5, 1.5, extents)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values.astype(np.float32), node.output[0]))
    last = kept[-1]
    if last.op_type == "Softmax":  # with random weights it is 1 for one class: no error of the network would show
        kept[-1] = onnx.helper.make_node("Identity", last.input, last.output)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model


def torch_networks() -> Iterator[tuple[str, Callable[[], onnx.ModelProto]]]:
    """Built here with random weights from seed 0."""
    for name in ("mobilenetv2_100", "resnet18", "efficientnet_b0", "regnetx_002", "convnext_atto", "mixer_s32_224"):
        yield name, lambda name=name: _timm(name)
    for name in ("bert", "distilbert", "vit"):
        yield name, lambda name=name: _transformers(name)
    yield "unet", _unet
    yield "densenet-small", _densenet


def _import_torchvision() -> None:
    """Its registry wheel misses two operators beside a CPU build of torch; timm and transformers import it."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in ("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor", "qnms() -> Tensor"):
        if not hasattr(torch.ops.torchvision, schema.partition("(")[0]):
            library.define(schema)
    importlib.import_module("torchvision")  # while the library lives


def _timm(name: str) -> onnx.ModelProto:
    _import_torchvision()
    import timm
    import torch

    torch.manual_seed(0)
    network = timm.create_model(name, exportable=True)
    for weight in network.parameters():
        if weight.ndim > 1 and not weight.any():  # a head of zeros would hide every error
            torch.nn.init.normal_(weight, std=0.02)
    return _exported(network, (torch.randn(1, 3, 224, 224),))


def _transformers(name: str) -> onnx.ModelProto:
    _import_torchvision()
    import torch
    import transformers

    torch.manual_seed(0)
    small: dict[str, Any] = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4}
    if name == "bert":
        configuration = transformers.BertConfig(**small, intermediate_size=512, attn_implementation="eager")
        return _exported(_first_output(transformers.BertModel(configuration)), (torch.randint(0, 1000, (1, 64)),))
    if name == "distilbert":
        distil = transformers.DistilBertConfig(
            dim=128, n_layers=3, n_heads=4, hidden_dim=512, attn_implementation="eager"
        )
        return _exported(_first_output(transformers.DistilBertModel(distil)), (torch.randint(0, 1000, (1, 64)),))
    vit = transformers.ViTConfig(**small, intermediate_size=512, attn_implementation="eager")
    return _exported(_first_output(transformers.ViTModel(vit)), (torch.randn(1, 3, 224, 224),))


def _first_output(module: Any) -> Any:
    import torch

    class First(torch.nn.Module):
        """The first output of a network that returns several."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, value: Any) -> Any:
            return self.inner(value, return_dict=False)[0]

    return First()


def _unet() -> onnx.ModelProto:
    import torch
    from torch import nn

    class Block(nn.Sequential):
        def __init__(self, before: int, after: int) -> None:
            super().__init__(nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU())

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            sizes = (16, 32, 64, 128)
            self.down = nn.ModuleList(Block(a, b) for a, b in zip((3, *sizes), sizes, strict=False))
            self.up = nn.ModuleList(
                nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in zip(sizes[::-1], sizes[-2::-1], strict=False)
            )
            self.merge = nn.ModuleList(Block(2 * a, a) for a in sizes[-2::-1])
            self.last = nn.Conv2d(16, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            kept = []
            for index, block in enumerate(self.down):
                x = block(x)
                if index < 3:
                    kept.append(x)
                    x = nn.functional.max_pool2d(x, 2)
            for up, merge in zip(self.up, self.merge, strict=True):
                x = merge(torch.cat([kept.pop(), up(x)], dim=1))
            return self.last(x)

    torch.manual_seed(0)
    return _exported(UNet(), (torch.randn(1, 3, 128, 128),))


def _densenet() -> onnx.ModelProto:
    import torch
    from torch import nn

    class Dense(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 16, 3, padding=1)
            self.layers = nn.ModuleList(nn.Conv2d(16 + 12 * i, 12, 3, padding=1) for i in range(8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            features = [self.first(x)]
            for layer in self.layers:
                features.append(torch.relu(layer(torch.cat(features, dim=1))))
            return torch.cat(features, dim=1).mean((2, 3))

    torch.manual_seed(0)
    return _exported(Dense(), (torch.randn(1, 3, 32, 32),))


def _exported(module: Any, arguments: tuple[Any, ...]) -> onnx.ModelProto:
    import torch

    with tempfile.TemporaryDirectory() as directory, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        path = Path(directory) / "network.onnx"
        torch.onnx.export(module.eval(), arguments, str(path), dynamo=False, opset_version=17)
        return onnx.load(path)


def largest_difference(model: onnx.ModelProto) -> float:
    """The network as a tarball, compiled and run: its largest difference from ONNX Runtime over all float outputs.

    Relative to the largest value of the output. One sample; libraries of hundreds of megabytes are not kept.
    """
    import numpy as np

    import turnkey.mlf as mlf
    from turnkey.mlf.reference import reference_of
    from turnkey.mlf.sampling import index_limits, make_samples

    with tempfile.TemporaryDirectory() as directory:
        kept = os.environ.get("TURNKEY_CACHE_DIR")
        os.environ["TURNKEY_CACHE_DIR"] = directory
        try:
            path = Path(directory) / "network.tar"
            mlf.export(model, path, name="network", compile=False, executor="aot", constants="incbin")
            module = mlf.load(path).module()
            shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
            (sample,) = make_samples(module.inputs, count=1, limits=index_limits(model, shapes))
            outputs = module.build().run(sample)
        finally:
            os.environ.pop("TURNKEY_CACHE_DIR")
            if kept is not None:
                os.environ["TURNKEY_CACHE_DIR"] = kept
    worst = 0.0
    for name, expected in reference_of(model).run(sample).items():
        if expected.dtype.kind != "f":
            continue
        scale = float(np.abs(expected).max())
        gap = float(np.abs(outputs[name].astype(np.float64) - expected).max())
        if not np.isfinite(scale) or not scale:
            raise SystemExit(f"{name}: the reference is {scale}: such weights prove nothing")
        worst = max(worst, gap / scale)
    return worst


def measure(name: str, model: onnx.ModelProto, *, run: bool) -> Row:
    """Prepare, lower and plan one network; with ``run`` also compare its C with ONNX Runtime."""
    from turnkey.mlf.kernels.templates import TEMPLATES
    from turnkey.mlf.layout import lay_out
    from turnkey.mlf.lowering import lower
    from turnkey.mlf.memory_plan import greedy_by_step, without_reuse
    from turnkey.mlf.prepare import prepare

    started = time.perf_counter()
    prepared = prepare(model)
    program = lower(prepared, templates=TEMPLATES)
    lowered = time.perf_counter()
    layout = lay_out(program)
    planned = time.perf_counter()
    unshared = lay_out(program, share=False, algorithm="best-fit").plan
    max_rel = largest_difference(model) if run else None
    plan = layout.plan
    return Row(
        name=name,
        nodes=len(prepared.model.graph.node),
        calls=len(layout.called),
        parameters=sum(array.size for array in prepared.constants.values()),
        workspace=plan.workspace,
        bound=plan.lower_bound,
        proven=plan.proven,
        algorithm=plan.algorithm,
        no_reuse=without_reuse(unshared.buffers),
        greedy=greedy_by_step(unshared.buffers),
        unshared_bound=unshared.lower_bound,
        lower_seconds=lowered - started,
        plan_seconds=planned - lowered,
        max_rel=max_rel,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--run", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows: list[Row] = []
    print(
        f"{'network':<18} {'nodes':>5} {'calls':>5} {'params':>11} {'workspace':>11} {'bound':>11} {'ratio':>6} "
        f"{'proven':>6} {'no reuse':>12} {'greedy':>11} {'unshared':>11} {'lower s':>7} {'plan s':>6}  max rel"
    )
    for name, make in (*light_networks(), *torch_networks()):
        if arguments.only and not any(word in name for word in arguments.only):
            continue
        row = measure(name, make(), run=arguments.run)
        rows.append(row)
        error = "" if row.max_rel is None else f"{row.max_rel:.1e}"
        print(
            f"{row.name:<18} {row.nodes:>5} {row.calls:>5} {row.parameters:>11} {row.workspace:>11} {row.bound:>11} "
            f"{row.workspace / max(row.bound, 1):>6.3f} {'yes' if row.proven else 'no':>6} {row.no_reuse:>12} "
            f"{row.greedy:>11} {row.unshared_bound:>11} {row.lower_seconds:>7.1f} {row.plan_seconds:>6.1f}  {error}",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps([row._asdict() for row in rows], indent=1))
    optimal = sum(row.workspace == row.bound for row in rows)
    worst = [row.name for row in rows if row.workspace > 1.02 * row.bound and not row.proven]
    print(f"{optimal} of {len(rows)} networks at their lower bound; above 1.02 and not proven: {worst or 'none'}")
    wrong = [row.name for row in rows if row.max_rel is not None and not row.max_rel <= 1e-5]
    if arguments.run:
        print(f"float outputs further than 1e-5 from ONNX Runtime: {wrong or 'none'}")
    return 0 if rows and optimal >= 0.9 * len(rows) and not worst and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
