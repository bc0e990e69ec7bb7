"""Verification of a built module: numbers against a reference, and where it wrote.

Every sample runs with the workspace and outputs filled with 0x00, 0xA5 and 0xFF, twice in a row with the last: the
bytes of the outputs must agree, inputs must be unchanged, and the guard zones around every block intact. Two threads
with a workspace each must agree with one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from turnkey.mlf.difference import Difference, difference
from turnkey.mlf.divergence import first_divergence
from turnkey.mlf.failures import failure
from turnkey.mlf.runner import Call, ModuleRunner

if TYPE_CHECKING:
    import numpy as np

    from turnkey.verify import Tolerances

_FILLS = (0x00, 0xA5, 0xFF)

Pair = tuple["Mapping[str, np.ndarray]", "Mapping[str, np.ndarray]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What verification found.

    Attributes:
        reference, reference_version: whose outputs were compared with.
        samples: how many.
        outputs: the largest differences of each output over all samples.
        high_water_bytes: last byte of the workspace that was ever written, plus one.
        notes: what a reader must know (a reference that is zero proves little).
    """

    reference: str
    reference_version: str
    samples: int
    outputs: Mapping[str, Difference]
    high_water_bytes: int
    notes: tuple[str, ...] = ()

    @property
    def max_abs(self) -> float:
        """Over all outputs."""
        return max((found.max_abs for found in self.outputs.values()), default=0.0)

    @property
    def max_rel(self) -> float:
        """Over all outputs, each relative to its largest value."""
        return max((found.max_rel for found in self.outputs.values()), default=0.0)

    def to_dict(self) -> dict[str, Any]:
        return {
            "reference": self.reference,
            "version": self.reference_version,
            "samples": self.samples,
            "max_abs": self.max_abs,
            "max_rel": self.max_rel,
            "outputs": {name: found.to_dict() for name, found in self.outputs.items()},
            "verdict": "valid",
        }


def verify(
    runner: ModuleRunner,
    pairs: Sequence[Pair],
    *,
    reference: str,
    reference_version: str,
    tolerances: Tolerances | None = None,
) -> Verified:
    """Check a module on samples with known outputs.

    Args:
        tolerances: by default those of the outputs' dtypes; of quantised computation where kernels compute on bytes.

    Raises:
        MlfVerificationError: ``mlf-mismatch``, ``mlf-overrun`` or ``mlf-not-repeatable``, with what and where.
        MlfUsageError: no samples, or samples of another model.
    """
    from turnkey.verify import Tolerances, compare, precision_of

    if not pairs:
        raise failure("mlf-bad-sample", "there is no sample to verify with", evidence="0 samples")
    on_bytes = runner.module.computes_on_bytes
    if tolerances is None and on_bytes:
        tolerances = Tolerances(precision=precision_of("int8"))
    found: dict[str, Difference] = {}
    high_water = 0
    notes: dict[str, None] = {}
    for number, (sample, expected) in enumerate(pairs):
        outputs, touched = _checked_run(runner, sample)
        high_water = max(high_water, touched)
        known, made = (_as_numbers(side) if on_bytes else dict(side) for side in (expected, outputs))
        comparison = compare(known, made, tolerances=tolerances)
        failed = comparison.first_failure
        if failed is not None:
            cause = first_divergence(runner, sample, tolerances=tolerances)
            where = str(cause) if cause else "no single node of the executor's graph is beyond the tolerances"
            raise failure(
                "mlf-mismatch",
                f"the C code computes another {failed.name!r} than {reference}",
                evidence=f"sample {number}: {comparison.reason}\n{where}",
                remedy="compare the intermediate values: turnkey.mlf.load(TARBALL).module().debug(sample)",
            )
        for name, array in expected.items():
            gap = difference(array, outputs[name])
            found[name] = gap.joined(found[name]) if name in found else gap
        if comparison.verdict.value != "valid":
            notes[comparison.reason] = None
    _check_threads(runner, pairs[0][0])
    return Verified(
        reference=reference,
        reference_version=reference_version,
        samples=len(pairs),
        outputs=found,
        high_water_bytes=high_water,
        notes=tuple(notes),
    )


def _as_numbers(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Bytes as floats: which byte stands for a number is decided by a rounding, and not exactly."""
    return {
        name: array.astype("float32") if array.dtype.name in ("int8", "uint8") else array
        for name, array in arrays.items()
    }


def _checked_run(runner: ModuleRunner, sample: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], int]:
    """Outputs of one sample under all fills, and how far into the workspace anything was written."""
    import numpy as np

    results: list[dict[str, np.ndarray]] = []
    written: np.ndarray | None = None
    for fill in _FILLS:
        call = runner.prepare(sample, fill=fill)
        before = [block.bytes.copy() for block in call.inputs]
        runner.call(call)
        _check_guards(runner, call)
        for tensor, block, kept in zip(runner.module.inputs, call.inputs, before, strict=True):
            if not np.array_equal(block.bytes, kept):
                raise failure(
                    "mlf-overrun",
                    f"the C code changes its input {tensor.name!r}",
                    evidence=f"byte {int(np.flatnonzero(block.bytes != kept)[0])}",
                )
        changed = call.workspace.bytes != fill
        written = changed if written is None else written | changed
        results.append(runner.outputs(call))
        if runner.module.abi.get("workspace") != "io":  # there, a run overwrites its inputs
            runner.call(call)
            results.append(runner.outputs(call))
    for other in results[1:]:
        _check_equal(results[0], other)
    touched = int(np.flatnonzero(written)[-1]) + 1 if written is not None and written.any() else 0
    return results[0], touched


def _check_guards(runner: ModuleRunner, call: Call) -> None:
    for name, block in call.blocks(runner.module):
        damage = block.damage()
        if damage:
            raise failure(
                "mlf-overrun",
                f"the C code writes outside of {name}",
                evidence=f"{len(damage)} bytes, the first at offset {damage[0]} of {block.bytes.size}",
                remedy="do not use this tarball; build with sanitize=True to see where",
            )


def _check_equal(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> None:
    for name, array in first.items():
        if array.tobytes() != second[name].tobytes():
            raise failure(
                "mlf-not-repeatable",
                f"two runs on one sample give different bytes in {name!r}",
                evidence="memory that was not written before is read, or state is kept between runs",
                remedy="do not use this tarball; build with sanitize=True to see where",
            )


def _check_threads(runner: ModuleRunner, sample: Mapping[str, np.ndarray]) -> None:
    """Two threads with two workspaces at once; ctypes lets them run side by side."""
    start = threading.Barrier(2)

    def work(call: Call) -> dict[str, np.ndarray]:
        start.wait()
        for _ in range(3):
            if runner.module.abi.get("workspace") == "io":
                call = runner.prepare(sample)
            runner.call(call)
        return runner.outputs(call)

    if runner.module.abi.get("workspace") == "internal" or runner.serves_one_thread:
        return  # one workspace belongs to the module: one call at a time, as its header says
    expected = runner.run(sample)
    calls = [runner.prepare(sample) for _ in range(2)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        for outputs in pool.map(work, calls):  # a thread that fails is a failure here too
            _check_equal(expected, outputs)
