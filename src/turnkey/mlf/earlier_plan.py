"""A plan taken from a tarball that was exported earlier: the same buffers keep their places."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from turnkey.mlf.failures import failure
from turnkey.mlf.library import Module, load
from turnkey.mlf.memory_plan import Buffer, Plan, check, live_bytes, rounded


def earlier_plan(path: Path, module: str) -> Plan:
    """The plan of a tarball's module of that name, or of its only one.

    Raises:
        InputError, MlfArtifactError: the tarball cannot be read, or its plan is not one.
        MlfUsageError: it records no plan.
    """
    library = load(path)
    names = [entry.name for entry in library.modules]
    found = library.module(module if module in names else None)
    if not found.plan:
        raise failure(
            "mlf-bad-option",
            "the tarball records no plan of its workspace",
            evidence=str(path),
            remedy="--plan-from with a tarball that export-mlf wrote",
        )
    return _read(found, path)


def _read(module: Module, path: Path) -> Plan:
    recorded = module.plan
    rows = recorded["buffers"]
    plan = Plan(
        buffers=tuple(Buffer(name, size, first, last) for name, size, _, first, last, _ in rows),
        offsets={name: offset for name, _, offset, _, _, _ in rows},
        align=int(module.abi.get("workspace_alignment", 1)),
        workspace=recorded["workspace"],
        lower_bound=recorded["lower_bound"],
        peak_step=recorded["peak_step"],
        proven=recorded["proven"],
        algorithm=recorded["algorithm"],
    )
    try:
        check(plan)
    except (AssertionError, ZeroDivisionError) as error:
        raise failure(
            "mlf-bad-metadata",
            "the tarball's plan is none",
            evidence=f"{path}: turnkey.plan: {error}",
            remedy="export the earlier model again",
        ) from error
    return plan


def placed_as_before(earlier: Plan, buffers: Sequence[Buffer], *, align: int) -> Plan | None:
    """The earlier plan for these buffers; None if they are other ones, or need another alignment."""
    if earlier.align != align or set(earlier.buffers) != set(buffers) or len(earlier.buffers) != len(buffers):
        return None
    totals = live_bytes(buffers, align=align)
    bound = max(totals, default=0)
    size = max((earlier.offsets[b.name] + rounded(b.bytes, align) for b in buffers), default=0)
    return Plan(
        buffers=tuple(buffers),
        offsets={buffer.name: earlier.offsets[buffer.name] for buffer in buffers},
        align=align,
        workspace=size,
        lower_bound=bound,
        peak_step=totals.index(bound) if totals else -1,
        proven=size == bound or (earlier.proven and size == earlier.workspace),
        algorithm=earlier.algorithm,
    )


def belongs_to_another(earlier: Plan, candidates: Sequence[Sequence[Buffer]]) -> Exception:
    """The error for a plan that fits none of the ways in which a model can share its memory."""
    ours = set(candidates[0]) if candidates else set()
    other = next((b for b in earlier.buffers if b not in ours), None)
    odd = f"; {other.name!r}, {other.bytes} bytes, steps {other.first}-{other.last}, is none of ours" if other else ""
    return failure(
        "mlf-bad-option",
        "the plan to be used again belongs to another model, or to another alignment",
        evidence=f"{len(earlier.buffers)} buffers of alignment {earlier.align}{odd}",
        remedy="leave out --plan-from",
    )
