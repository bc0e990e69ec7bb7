"""The caller's own judgement of a runner: a function over all outputs, in the dataloader's order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from turnkey.host import fair_threads
from turnkey.model.samples import Sample
from turnkey.navigator.dataloader import VerifyFunction
from turnkey.navigator.output_names import under_names
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.runner_adapter import runtime_of
from turnkey.navigator.runner_table import RunnerKind
from turnkey.runtimes import LoadRequest


def verify_runner(function: VerifyFunction, kind: RunnerKind, path: Path | None, prepared: Prepared) -> str:
    """Why the function refuses a runner; empty if it accepts it.

    The source's outputs are computed (or taken from what was stored) first, so that never two models are loaded. Where
    no source is attached, the samples with stored outputs are what it judges.
    """
    pairs = [
        (sample, prepared.outputs[index] if index in prepared.outputs else prepared.source.outputs(sample))
        for index, sample in enumerate(prepared.samples)
        if index in prepared.outputs or prepared.source.can_run
    ]
    samples, references = [sample for sample, _ in pairs], [reference for _, reference in pairs]
    request = LoadRequest(
        module=prepared.source.model if path is None else None,
        structure=prepared.source.structure if path is None else None,
        path=path,
        device=kind.device.value,
        threads=fair_threads(),
        options=dict(kind.options),
    )
    names = [spec.name for spec in prepared.metadata.outputs]

    def outputs() -> Iterator[Sample]:
        runner = runtime_of(kind.runtime, place=kind.place).load(request)
        try:
            for sample in samples:
                yield under_names(names, runner.outputs(runner.run(runner.prepare(sample))))
        finally:
            runner.close()

    try:
        answer = function(list(outputs()), references)
    except Exception as error:  # noqa: BLE001 - the caller's function may raise anything: that is its answer
        return f"the verify function raised {type(error).__name__}: {error}"
    if isinstance(answer, bool | np.bool_):
        return "" if answer else "the verify function returned False"
    return f"the verify function returned {answer!r}, neither True nor False"
