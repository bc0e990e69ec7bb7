"""Any transformers architecture from its configuration alone: random weights, no network, small by default.

`build` makes the configuration smaller by the names that the families use for the same thing, `inputs_for` makes
the inputs that the family's ``forward`` asks for. What cannot be guessed from names stands in `_PARTICULARS`.

Scope: only the scripts beside this directory import it. It loads torch when a function is called, not before, so
that a wildcard over the scripts can take it along.
"""

from __future__ import annotations

import os
import sys
from typing import Any

_LAYERS = (
    "num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers", "encoder_layers", "decoder_layers",
    "num_encoder_layers", "num_encoder_blocks", "depth",
)  # fmt: skip
_HEADS = (
    "num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads", "decoder_attention_heads",
    "num_key_value_heads",
)  # fmt: skip
_WIDTH = ("hidden_size", "d_model", "n_embd", "dim", "embedding_size")
_AS_WIDE = ("embedding_size", "projection_size")
_INNER = ("intermediate_size", "d_ff", "n_inner", "encoder_ffn_dim", "decoder_ffn_dim", "hidden_dim", "ffn_dim")
_VOCABULARY = 1000
_HEAD_WIDTH = 32

_PARTICULARS: dict[str, dict[str, Any]] = {
    # An architecture's numbers that only fit each other; they replace what the names above would give.
    "clip": {"projection_dim": 64},
    "codegen": {"rotary_dim": 16},
    "esm": {"vocab_size": 33, "pad_token_id": 1, "mask_token_id": 32},
    "gptj": {"rotary_dim": 16},
    "mamba2": {"num_heads": 8},
    "nemotron": {"num_key_value_heads": 4},
    "segformer": {"num_attention_heads": [1, 2, 5, 8], "num_encoder_blocks": 4, "depths": [1, 1, 1, 1]},
}


def build(arch: str, *, layers: int | None = 2, hidden_size: int | None = 128, full: bool = False) -> Any:
    """The base model of an architecture in evaluation mode with seeded random weights.

    Args:
        arch: the configuration's ``model_type``: ``bert``, ``gpt2``, ``vit``, ``t5``, ``whisper`` …
        layers: number of layers, in the encoder and the decoder each; None leaves the real number.
        hidden_size: width; None leaves the real one.
        full: the real size in every respect.

    Raises:
        SystemExit: transformers has no architecture of that name, or no base model for it.
    """
    is_shared = "torchvision" in sys.modules  # by another script of this process, which made it importable
    _import_without_torchvision()
    import torch
    from transformers import AutoConfig, AutoModel
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if arch not in CONFIG_MAPPING:
        near = ", ".join(name for name in CONFIG_MAPPING if name.startswith(arch[:3])) or "see its CONFIG_MAPPING"
        raise SystemExit(f"transformers has no architecture {arch!r}; near: {near}")
    configuration = AutoConfig.for_model(arch)
    if not full:
        _make_smaller(configuration, layers=layers, hidden_size=hidden_size)
        for name, value in _PARTICULARS.get(arch, {}).items():
            setattr(configuration, name, value)
    for part in _parts(configuration):
        if hasattr(part, "use_cache"):
            part.use_cache = False  # a cache is an object, not a tensor: no exporter returns it
    if type(configuration) not in AutoModel._model_mapping:
        raise SystemExit(f"transformers has no base model for {arch!r}")
    torch.manual_seed(0)
    model = AutoModel.from_config(configuration).eval()
    _wake_zero_weights(model)
    _settle_batch_statistics(model)
    if is_shared:
        model.__dict__["__reduce_ex__"] = lambda protocol: _reduce(model)
    return model


def inputs_for(model: Any, *, batch_size: int = 1, max_seq_length: int = 32) -> dict[str, Any]:
    """Seeded random inputs by the names of the model's ``forward``.

    Args:
        max_seq_length: tokens, or frames of audio features; images keep the size of the configuration.

    Raises:
        SystemExit: the family asks for something that this function does not know how to make.
    """
    import inspect

    import torch

    generator = torch.Generator().manual_seed(2)
    known = inspect.signature(model.forward).parameters
    configuration = model.config
    inputs: dict[str, Any] = {}

    def tokens() -> Any:
        vocabulary = _setting(configuration, "vocab_size") or _VOCABULARY
        # Above the low numbers, where padding, start and end usually lie.
        low = min(10, vocabulary - 1)
        return torch.randint(low, vocabulary, (batch_size, max_seq_length), generator=generator)

    main = model.main_input_name
    if "input_ids" in known and (main == "input_ids" or "pixel_values" in known):
        inputs["input_ids"] = tokens()
        if "attention_mask" in known:
            inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    if "pixel_values" in known:
        size = _setting(configuration, "image_size") or 224
        height, width = size if isinstance(size, list | tuple) else (size, size)
        channels = _setting(configuration, "num_channels") or 3
        inputs["pixel_values"] = torch.rand((batch_size, channels, height, width), generator=generator) * 2 - 1
    if main == "input_values":
        bins = _setting(configuration, "num_mel_bins")
        shape = (batch_size, 16000) if bins is None else (batch_size, _setting(configuration, "max_length"), bins)
        inputs["input_values"] = torch.rand(shape, generator=generator) * 2 - 1
    if main == "input_features":
        bins = _setting(configuration, "num_mel_bins") or _setting(configuration, "input_feat_per_channel") or 80
        positions = _setting(configuration, "max_source_positions")
        # Whisper counts frames before its convolution that halves them, and takes only the full window.
        whole_window = configuration.model_type == "whisper"
        shape = (batch_size, bins, 2 * positions) if whole_window else (batch_size, 4 * max_seq_length, bins)
        inputs["input_features"] = torch.rand(shape, generator=generator) * 2 - 1
    if "decoder_input_ids" in known:
        inputs["decoder_input_ids"] = tokens()
    if not inputs:
        raise SystemExit(f"no inputs known for {type(model).__name__}: its forward takes {', '.join(known)}")
    return inputs


def _make_smaller(configuration: Any, *, layers: int | None, hidden_size: int | None) -> None:
    for part in _parts(configuration):
        own = dict(vars(part))  # what is set here, without computed properties and second names
        if layers is not None:
            for name in _LAYERS:
                if isinstance(own.get(name), int):
                    setattr(part, name, min(layers, own[name]))
            if isinstance(own.get("layer_types"), list):
                part.layer_types = own["layer_types"][:layers]
        width = next((name for name in _WIDTH if isinstance(own.get(name), int)), None)
        if hidden_size is None or width is None:
            continue
        for name in (width, *_AS_WIDE):
            if isinstance(own.get(name), int):
                setattr(part, name, hidden_size)
        for name in _HEADS:
            if isinstance(own.get(name), int):
                setattr(part, name, max(1, hidden_size // _HEAD_WIDTH))
        for name in ("head_dim", "d_kv"):
            if isinstance(own.get(name), int):
                setattr(part, name, _HEAD_WIDTH)
        for name in _INNER:
            if isinstance(own.get(name), int):
                setattr(part, name, 4 * hidden_size)
        if isinstance(own.get("vocab_size"), int):
            part.vocab_size = min(own["vocab_size"], _VOCABULARY)
            for name in ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id", "sep_token_id"):
                token = own.get(name)
                if isinstance(token, int) and token >= part.vocab_size:
                    setattr(part, name, 1)


def _parts(configuration: Any) -> list[Any]:
    """The configuration and those nested in it: of a text and of a vision tower, say."""
    settings = vars(configuration).items()
    nested = [value for name, value in settings if name.endswith("_config") and hasattr(value, "model_type")]
    return [configuration, *(part for child in nested for part in _parts(child))]


def _setting(configuration: Any, name: str) -> Any:
    """The first value of that name in the configuration or a nested one; None where there is none."""
    return next((getattr(part, name) for part in _parts(configuration) if getattr(part, name, None) is not None), None)


def _wake_zero_weights(model: Any) -> None:
    """Random values for weights that are zero throughout; biases and padding rows stay."""
    import torch

    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if not name.endswith("bias") and weight.is_floating_point() and not weight.any():
                weight.copy_(0.02 * torch.randn(weight.shape, generator=generator))


def _settle_batch_statistics(model: Any) -> None:
    """Running mean and variance of every batch normalisation from one seeded random batch.

    At their initial 0 and 1 the activations of some networks shrink until every output is the same.
    """
    import torch

    norms = [module for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return

    class SettleStatistics(torch.nn.Module):
        """Calls the network below a module without weights: who lists the models that a script called sees one
        call of the network, the real one."""

        def forward(self, network: Any, batch: dict[str, Any]) -> Any:
            return network(**batch)

    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None  # the cumulative average: of one batch, that batch's own
        norm.train()
    with torch.no_grad():
        SettleStatistics()(model, inputs_for(model, batch_size=4))
    for norm, momentum in zip(norms, momenta, strict=True):
        # A channel that hardly varies in so small a batch would be blown up until rounding decides the outputs.
        norm.running_var.clamp_(min=0.1 * norm.running_var.mean())
        norm.momentum = momentum
        norm.eval()


def _import_without_torchvision() -> None:
    """Import transformers, for which torchvision is optional, as if it were not installed.

    The registry's torchvision does not load beside the small build of torch for processors, and then takes most of
    transformers with it; where it does load it would cost seconds for image transforms that nothing here uses.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    if "torchvision" in sys.modules:
        return
    sys.modules["torchvision"] = None  # type: ignore[assignment]  # the import system's mark for "there is none"
    try:
        from transformers.utils import is_torchvision_available

        is_torchvision_available()  # remembered by transformers for the life of the process
    finally:
        del sys.modules["torchvision"]


def _reduce(model: Any) -> tuple[Any, ...]:
    """Pickle support where this process has torchvision: the reader imports transformers without it all the same."""
    import cloudpickle

    twin = type(model).__new__(type(model))
    twin.__dict__.update({key: value for key, value in model.__dict__.items() if key != "__reduce_ex__"})
    return _restore, (cloudpickle.dumps(twin),)


def _restore(payload: bytes) -> Any:
    import pickle

    _import_without_torchvision()
    model = pickle.loads(payload)
    model.__dict__["__reduce_ex__"] = lambda protocol: _reduce(model)
    return model
