"""Any timm architecture from its name alone: random weights, no network, outputs worth comparing.

timm has no configuration objects: an architecture is an entry function whose keyword arguments vary by family.
``layers`` and ``hidden_size`` are turned into those keywords where the family has them.

Random weights are put right in two respects, or a comparison of outputs would prove nothing:

* weights that the authors initialise to zero (heads of mixers, last normalisation of a residual branch) get
  seeded random values, since a zero there switches the whole branch off;
* batch statistics are those of one random batch; at their initial 0 and 1 the activations of an EfficientNet
  shrink to 1e-5.

Scope: only the scripts beside this directory import it. It loads torch when a function is called, not before, so
that a wildcard over the scripts can take it along.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from typing import Any


def build(arch: str, *, layers: int | None = None, hidden_size: int | None = None, **overrides: Any) -> Any:
    """The architecture in evaluation mode with seeded random weights.

    Args:
        arch: a name of ``timm.list_models()``.
        layers: blocks per stage (or in all, where there are no stages); None leaves the real number.
        hidden_size: width, where the family has a single one; None leaves the real one.
        overrides: further keyword arguments of the family (``img_size=64``).

    Raises:
        SystemExit: timm does not know the name, or the family cannot be made smaller in that way.
    """
    healed = _make_torchvision_importable()
    import timm
    import torch

    if not timm.is_model(arch):
        near = ", ".join(timm.list_models(f"*{arch[:6]}*")[:8]) or "see timm.list_models()"
        raise SystemExit(f"timm has no architecture {arch!r}; near: {near}")
    torch.manual_seed(0)
    model = timm.create_model(arch, **overrides)
    smaller = _smaller(type(model), model, layers=layers, hidden_size=hidden_size)
    if smaller:
        torch.manual_seed(0)
        try:
            model = timm.create_model(arch, **overrides, **smaller)
        except TypeError as error:  # its entry function fixes that keyword itself
            raise SystemExit(f"timm's {arch} cannot be made smaller: {error}") from error
    model.eval()
    _wake_zero_weights(model)
    _settle_batch_statistics(model)
    if healed:
        model.__dict__["__reduce_ex__"] = lambda protocol: _reduce(model)
    return model


def image_size(model: Any) -> tuple[int, int, int]:
    """Channels, height and width that the architecture takes by default."""
    channels, height, width = model.default_cfg.get("input_size", (3, 224, 224))
    return int(channels), int(height), int(width)


def _smaller(family: type, model: Any, *, layers: int | None, hidden_size: int | None) -> dict[str, Any]:
    known = inspect.signature(family.__init__).parameters
    wanted: dict[str, Any] = {}
    if layers is not None:
        if "depth" in known:
            wanted["depth"] = layers
        elif "num_blocks" in known and known["num_blocks"].annotation is int:
            wanted["num_blocks"] = layers
        elif "depths" in known:
            stages = known["depths"].default
            count = len(stages) if isinstance(stages, tuple | list) else len(model.stages)
            wanted["depths"] = (layers,) * count
        elif "layers" in known:
            wanted["layers"] = [layers] * 4
        else:
            raise SystemExit(f"--layers: timm's {family.__name__} has no number of blocks that can be set")
    if hidden_size is not None:
        if "embed_dim" in known and known["embed_dim"].annotation is int:
            wanted["embed_dim"] = hidden_size
            if "num_heads" in known:
                wanted["num_heads"] = max(1, hidden_size // 64)
        else:
            raise SystemExit(f"--hidden_size: timm's {family.__name__} has no single width that can be set")
    return wanted


def _wake_zero_weights(model: Any) -> None:
    """Random values for weights that are zero throughout; biases and buffers stay."""
    import torch

    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias") or weight.any():
                continue
            if weight.dim() == 1:
                weight.copy_(0.25 + 0.5 * torch.rand(weight.shape, generator=generator))
            else:
                weight.copy_(0.02 * torch.randn(weight.shape, generator=generator))


def _settle_batch_statistics(model: Any) -> None:
    """Running mean and variance of every batch normalisation from one seeded random batch."""
    import torch

    norms = [module for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return

    class SettleStatistics(torch.nn.Module):
        """Calls the network below a module without weights: who lists the models that a script called sees one
        call of the network, the real one."""

        def forward(self, network: Any, batch: Any) -> Any:
            return network(batch)

    momenta = [norm.momentum for norm in norms]
    generator = torch.Generator().manual_seed(1)
    for norm in norms:
        norm.momentum = None  # the cumulative average: of one batch, that batch's own
        norm.train()
    with torch.no_grad():
        SettleStatistics()(model, torch.rand((4, *image_size(model)), generator=generator) * 2 - 1)
    for norm, momentum in zip(norms, momenta, strict=True):
        # A channel that hardly varies in so small a batch would be blown up until rounding decides the outputs.
        norm.running_var.clamp_(min=0.1 * norm.running_var.mean())
        norm.momentum = momentum
        norm.eval()


def _make_torchvision_importable() -> bool:
    """Declare the two operators that torchvision looks for at import, if its compiled part does not load.

    The registry's torchvision is built beside another build of torch than the small one for processors; timm
    imports it for image transforms, of which nothing is used here.

    Returns:
        Whether that was needed.
    """
    import torch

    if importlib.util.find_spec("torchvision") is None:
        return False
    if "torchvision" not in sys.modules:
        # Whether the compiled part loads is seen by loading it; torchvision itself swallows that error.
        library = importlib.util.find_spec("torchvision")
        compiled = [] if library is None else _compiled_parts(library.submodule_search_locations or [])
        try:
            for path in compiled:
                torch.ops.load_library(path)
        except OSError:
            fragment = torch.library.Library("torchvision", "FRAGMENT")
            fragment.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            fragment.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            torch.__dict__.setdefault("_torchvision_operators", fragment)  # unregistered when it is collected
    return hasattr(torch, "_torchvision_operators")


def _compiled_parts(directories: list[str]) -> list[str]:
    from pathlib import Path

    return [str(path) for directory in directories for path in sorted(Path(directory).glob("_C*.so"))]


def _reduce(model: Any) -> tuple[Any, ...]:
    """Pickle support where torchvision had to be made importable: the reader must do the same before timm."""
    import cloudpickle

    twin = type(model).__new__(type(model))
    twin.__dict__.update({key: value for key, value in model.__dict__.items() if key != "__reduce_ex__"})
    return _restore, (cloudpickle.dumps(twin),)


def _restore(payload: bytes) -> Any:
    import pickle

    _make_torchvision_importable()
    model = pickle.loads(payload)
    model.__dict__["__reduce_ex__"] = lambda protocol: _reduce(model)
    return model
