"""The settings: one table of keys with types, defaults and ranges, and the one effective set of a call.

Precedence: call > decorator > ``[tool.turnkey.lexer]`` of the project > user's file > shipped defaults. A call
computes its set once, and every step of it uses that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from turnkey.errors import UsageError
from turnkey.lexer.limits import DEFAULTS, PARTS, is_limit
from turnkey.nearest import nearest

TABLES = ("exports", "benchmarks", "outputs")
EFFORTS = ("single", "quick", "standard", "rigorous")
_SHIPPED_ITERATIONS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One setting.

    Attributes:
        table: of the settings file; empty for what only decorators and calls have.
        allowed: what a value must be, in words, for messages.
        check: value to the value that is used; raises ValueError for anything else.
    """

    table: str
    allowed: str
    check: Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LexerSettings:
    """The effective set of one call.

    Attributes:
        batch_size: data points per call; None is inferred from the first input.
        num_iterations: samples per engine; without ``exact_iterations`` only an upper bound under ``max_seconds``.
        tolerances: ``rtol`` and ``atol`` by name of an output or by dtype, before those for all.
        max_seconds: time for the timed calls of the slowest engine, where the number of samples was not given.
        engines: runtimes beside the two that have switches of their own.
        engine_options: options by engine: ``{"onnxruntime": {"graph_optimization_level": "basic"}}``.
        effort: ``single``: one process, this one; else what the measuring engine calls so, in fresh processes.
        device: None is where the model is.
        given: names of the settings that somebody gave, at any level.
    """

    batch_size: int | None = None
    enable_export_validation: bool = True
    enable_onnx_checks: bool = True
    opset: int | None = None
    exporter: str = "auto"
    on_validation_failure: str = "raise"
    rtol: float = DEFAULTS["rtol"]
    atol: float = DEFAULTS["atol"]
    tolerances: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    enable_onnxruntime: bool = True
    enable_pytorch: bool = True
    num_iterations: int = _SHIPPED_ITERATIONS
    max_seconds: float = 10.0
    engines: tuple[str, ...] = ()
    engine_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    effort: str = "single"
    threads: int | None = None
    device: str | None = None
    seed: int = 0
    enable_csv: bool = True
    enable_stdout: bool = True
    store_samples: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)
    input_names: tuple[str, ...] | None = None
    output_names: tuple[str, ...] | None = None
    given: frozenset[str] = frozenset()

    @property
    def exact_iterations(self) -> bool:
        """Whether exactly ``num_iterations`` samples are asked for."""
        return "num_iterations" in self.given

    @property
    def engine_names(self) -> tuple[str, ...]:
        """The engines to time, in the order of their rows."""
        switched = [("onnxruntime", self.enable_onnxruntime), ("torch", self.enable_pytorch)]
        return tuple(dict.fromkeys([*(name for name, is_on in switched if is_on), *self.engines]))

    @property
    def needs_onnx(self) -> bool:
        """Whether a benchmark exports: what is timed or checked is a file."""
        return self.enable_onnx_checks or any(name not in ("torch", "torch-compile") for name in self.engine_names)

    def to_dict(self) -> dict[str, Any]:
        """Plain data without what was not set; ``given`` left out."""
        found = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "given"}
        return {
            name: list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value
            for name, value in found.items()
            if value is not None
        }


def resolve(*layers: Mapping[str, Any]) -> LexerSettings:
    """One effective set from layers of checked values, the later the stronger."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update(layer)
    return LexerSettings(**merged, given=frozenset(merged))


def checked(given: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """The values as they are used.

    Args:
        where: of the settings, for messages: ``benchmark()``.

    Raises:
        UsageError: an unknown key, with the nearest known one, or a value that it cannot have.
    """
    return {name: check_value(name, value, where=where) for name, value in given.items()}


def check_value(name: str, value: Any, *, where: str) -> Any:
    """One value as it is used. Raises UsageError as `checked`."""
    if name not in KEYS:
        raise unknown_key(name, KEYS, where=where)
    try:
        return KEYS[name].check(value)
    except ValueError as error:
        raise UsageError(
            f"{name} must be {KEYS[name].allowed}",
            evidence=f"{where}: {name} = {value!r}"[:300] + (f" ({error})" if str(error) else ""),
        ) from error


def unknown_key(name: str, known: Mapping[str, Any] | Sequence[str], *, where: str) -> UsageError:
    """The error for a key that does not exist."""
    close = nearest(str(name), known, most=1)
    return UsageError(
        f"there is no setting {name!r}" + (f"; did you mean {close[0]}?" if close else ""),
        evidence=where,
        remedy=f"known settings: {', '.join(known)}",
    )


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _at_least(least: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError
        return value

    return check


def _positive(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError
    return float(value)


def _tolerance(value: Any) -> float:
    if not is_limit(value):
        raise ValueError
    return float(value)


def _tolerances(value: Any) -> dict[str, dict[str, float]]:
    if not isinstance(value, Mapping) or not all(isinstance(given, Mapping) and given for given in value.values()):
        raise ValueError
    wrong = sorted({str(name) for given in value.values() for name in given if name not in PARTS})
    if wrong:
        raise ValueError(f"{', '.join(wrong)}: neither rtol nor atol")
    return {str(key): {name: _tolerance(limit) for name, limit in given.items()} for key, given in value.items()}


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _one_of(*choices: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError
        return str(value)

    return check


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) and item for item in value):
        raise ValueError
    if len(set(value)) != len(value):
        raise ValueError("a name occurs twice")
    return tuple(value)


def _engines(value: Any) -> tuple[str, ...]:
    from turnkey.runtimes.lookup import known_runtime  # finds plug-ins: only when engines are named

    return tuple(known_runtime(name) for name in _names(value))


def _engine_options(value: Any) -> dict[str, dict[str, Any]]:
    from turnkey.runtimes.lookup import known_runtime

    if not isinstance(value, Mapping) or not all(isinstance(options, Mapping) for options in value.values()):
        raise ValueError
    return {known_runtime(str(name)): dict(options) for name, options in value.items()}


def _tags(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(part, str) for pair in value.items() for part in pair):
        raise ValueError
    return dict(value)


def _key(table: str, allowed: str, check: Callable[[Any], Any]) -> Key:
    return Key(table=table, allowed=allowed, check=check)


_count = _at_least(1)
_SWITCH = "true or false"
_WHOLE = "a whole number of at least 1"
_LIST = "a list of different names"

KEYS: Mapping[str, Key] = {
    "batch_size": _key("exports", _WHOLE, _count),
    "enable_export_validation": _key("exports", _SWITCH, _flag),
    "enable_onnx_checks": _key("exports", _SWITCH, _flag),
    "opset": _key("exports", _WHOLE, _count),
    "exporter": _key("exports", "auto, dynamo or torchscript", _one_of("auto", "dynamo", "torchscript")),
    "on_validation_failure": _key("exports", "raise or warn", _one_of("raise", "warn")),
    "rtol": _key("exports", "a finite number that is not negative", _tolerance),
    "atol": _key("exports", "a finite number that is not negative", _tolerance),
    "tolerances": _key("exports", "a table of rtol and atol by output or dtype", _tolerances),
    "enable_onnxruntime": _key("benchmarks", _SWITCH, _flag),
    "enable_pytorch": _key("benchmarks", _SWITCH, _flag),
    "num_iterations": _key("benchmarks", _WHOLE, _count),
    "max_seconds": _key("benchmarks", "a positive number of seconds", _positive),
    "engines": _key("benchmarks", "a list of names of runtimes", _engines),
    "engine_options": _key("benchmarks", "a table of options by engine", _engine_options),
    "effort": _key("benchmarks", f"one of {', '.join(EFFORTS)}", _one_of(*EFFORTS)),
    "threads": _key("benchmarks", _WHOLE, _count),
    "device": _key("benchmarks", "the name of a device, such as cpu or cuda:0", _text),
    "seed": _key("benchmarks", "a whole number from 0", _at_least(0)),
    "enable_csv": _key("outputs", _SWITCH, _flag),
    "enable_stdout": _key("outputs", _SWITCH, _flag),
    "store_samples": _key("outputs", _SWITCH, _flag),
    "tags": _key("outputs", "a table of texts", _tags),
    "input_names": _key("", _LIST, _names),
    "output_names": _key("", _LIST, _names),
}
"""Every setting by name; those with a table may stand in files too."""

DOCUMENTED: Mapping[str, tuple[str, ...]] = {
    "export_config": ("batch_size", "enable_export_validation", "enable_onnx_checks"),
    "benchmark_config": ("enable_onnxruntime", "enable_pytorch", "num_iterations"),
    "output_config": ("enable_csv", "enable_stdout"),
    "decorator_config": ("input_names", "output_names"),
}
"""The tables of an artifact with their keys, in the documented order."""
