"""How far a file's outputs may lie from torch's: for all outputs, for those of a dtype, for one by its name.

|torch - onnx| <= atol + rtol * |torch|, element by element. Of ``rtol`` and ``atol`` each comes from the most
particular place that gives it: the output's name, then its dtype, then the settings of that name. Whole numbers and
switches are compared exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from turnkey.errors import UsageError
from turnkey.nearest import nearest

if TYPE_CHECKING:
    from turnkey.lexer.options import LexerSettings
    from turnkey.model.samples import Sample
    from turnkey.verify import Tolerances

FLOATING = ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "complex128", "complex64")
"""The dtypes that have limits."""
PARTS = ("rtol", "atol")
DEFAULTS = {"rtol": 1e-3, "atol": 1e-5}
"""The original's, whatever the dtype."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one validation.

    Attributes:
        particular: ``rtol`` or ``atol`` or both, by name of an output or by dtype.
    """

    rtol: float = DEFAULTS["rtol"]
    atol: float = DEFAULTS["atol"]
    particular: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def for_output(self, name: str, dtype: str) -> Tolerances:
        """What one output is judged by."""
        from turnkey.verify import Tolerances

        places = [self.particular.get(key, {}) for key in (name, dtype)]
        return Tolerances(
            rtol=next((place["rtol"] for place in places if "rtol" in place), self.rtol),
            atol=next((place["atol"] for place in places if "atol" in place), self.atol),
        )

    def require_outputs(self, outputs: Sample) -> None:
        """Raise UsageError if a limit is neither of a dtype nor of an output, or of one that is compared exactly."""
        for key in self.particular:
            if key in outputs and str(outputs[key].dtype) not in FLOATING:
                raise UsageError(
                    f"output {key!r} is {outputs[key].dtype}, which is compared exactly: it has no tolerances",
                    evidence=f"tolerances: {key}",
                )
            if key not in outputs and key not in FLOATING:
                close = nearest(key, [*outputs, *FLOATING], most=1)
                raise UsageError(
                    f"there is no output {key!r} to have tolerances"
                    + (f"; did you mean {close[0]}?" if close else ""),
                    evidence=f"outputs: {', '.join(outputs)}",
                    remedy=f"name an output, or one of the dtypes {', '.join(FLOATING)}",
                )

    @property
    def laxer_than_default(self) -> list[str]:
        """The limits beyond the shipped ones, in words: who verifies another's file must see them."""
        general = [(name, getattr(self, name), DEFAULTS[name]) for name in PARTS]
        own = [
            (f"{key}.{name}", value, DEFAULTS[name]) for key, p in self.particular.items() for name, value in p.items()
        ]
        return [f"{name}={value:g}" for name, value, default in (*general, *own) if value > default]


def limits_of(settings: LexerSettings) -> Limits:
    """Those of an effective set."""
    return Limits(rtol=settings.rtol, atol=settings.atol, particular=settings.tolerances)


def recorded_limits(settings: Mapping[str, Any]) -> Limits:
    """Those that an artifact has recorded; what is no limit is left out, as if it had not been given."""
    table = settings.get("tolerances")
    particular = {
        str(key): {name: float(given[name]) for name in PARTS if is_limit(given.get(name))}
        for key, given in (table.items() if isinstance(table, Mapping) else ())
        if isinstance(given, Mapping)
    }
    general = {name: float(settings[name]) for name in PARTS if is_limit(settings.get(name))}
    return Limits(**general, particular=particular)


def is_limit(value: Any) -> bool:
    """Whether a value can be a limit: with one that is not finite nothing would be judged."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # whole numbers beyond what a float holds
        return False
