"""How long, and with how many threads, a tool measures that is not ``benchmark`` itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from turnkey.pipeline.quantity import positive_count
from turnkey.pipeline.tool import Argument

if TYPE_CHECKING:
    from turnkey.measure import Settings
    from turnkey.pipeline.state import State

EFFORTS = ("quick", "standard", "rigorous")
OBJECTIVES = ("median", "mean", "p90", "p99")
"""Those of `turnkey.measure`, which is not imported to print help."""


def threads(help: str = "Threads of every runtime.") -> Argument:
    """``--threads``: one number of them."""
    return Argument(
        flags=("--threads",),
        parse=positive_count,
        metavar="N",
        default_text="the processor cores that this process may use",
        help=help,
    )


def effort(help: str, *, default: str = "standard") -> Argument:
    """``--effort``: what its words mean differs from tool to tool."""
    return Argument(flags=("--effort",), default=default, choices=EFFORTS, help=help)


MEASURING = (effort("Of the measurement, as for benchmark."), threads())


def _measures(text: str) -> str:
    """``size,memory``, as it was written."""
    from turnkey.measure.tie import order_of

    order_of(text.split(","))
    return text


TIES = Argument(
    flags=("--ties",),
    parse=_measures,
    metavar="MEASURE,MEASURE",
    default_text="memory,size,error,load",
    help="What settles ties, one after another: memory, size, error, load. A loss of precision goes before all.",
)


def tie_order(arguments: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The order of `TIES`; None where it was not given."""
    return tuple(arguments["ties"].split(",")) if arguments.get("ties") else None


def measuring_settings(state: State, arguments: Mapping[str, Any]) -> Settings:
    """Settings of the engine from these arguments, with the seed of the build."""
    from turnkey.measure import Settings

    return Settings(
        effort=arguments.get("effort") or "standard",
        threads=arguments.get("threads"),
        seed=int(state.environment.get("seed") or 0),
    )
