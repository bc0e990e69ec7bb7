"""The first node whose value is another than the reference's: what a mismatch of an output comes from.

The graph executor keeps every tensor of its run; the reference computes the same tensors of the model in the tarball.
In the order of the graph, the first tensor beyond the tolerances is the cause, or lies next to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnkey.mlf.failures import MlfArtifactError, MlfError
from turnkey.mlf.graph_executor import GraphExecutor
from turnkey.mlf.reference import reference_of, with_every_tensor
from turnkey.mlf.runner import ModuleRunner

if TYPE_CHECKING:
    import numpy as np

    from turnkey.verify import Tolerances


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """Where two runs part.

    Attributes:
        node: of the model, ``op(name)``.
        index: of the value that differs most.
        actual, expected: that value in C and of the reference.
    """

    node: str
    tensor: str
    index: tuple[int, ...]
    actual: float
    expected: float

    def __str__(self) -> str:
        return (
            f"first divergent node: {self.node}, {self.tensor!r}{list(self.index)} is {self.actual:.9g}, "
            f"expected {self.expected:.9g}"
        )


def first_divergence(
    runner: ModuleRunner, sample: Mapping[str, np.ndarray], *, tolerances: Tolerances | None = None
) -> Divergence | None:
    """The first tensor beyond the tolerances; None if there is none, or the tarball lacks the graph or the model."""
    import numpy as np

    from turnkey.verify import compare

    module = runner.module
    try:
        if "graph" not in module.metadata.executors:
            return None
        executor = GraphExecutor(module, runner)
        model = module.onnx()
    except MlfArtifactError:
        return None
    found = executor.run(sample)
    try:
        expected = reference_of(with_every_tensor(model)).run(sample)
    except MlfError:  # of some tensor in the middle there may be no reference
        return None
    origins = executor.origins()
    for name, actual in found.items():
        if name not in expected or not origins[name] or actual.shape != expected[name].shape:
            continue
        if compare({name: expected[name]}, {name: actual}, tolerances=tolerances).first_failure is None:
            continue
        gap = np.abs(actual.astype(np.float64) - expected[name].astype(np.float64))
        worst = int(np.argmax(np.where(np.isnan(gap), np.inf, gap)))
        return Divergence(
            node=origins[name],
            tensor=name,
            index=tuple(int(i) for i in np.unravel_index(worst, actual.shape)),
            actual=float(actual.reshape(-1)[worst]),
            expected=float(expected[name].reshape(-1)[worst]),
        )
    return None
