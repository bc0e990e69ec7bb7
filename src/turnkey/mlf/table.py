"""What a tarball needs, as a table for people and as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turnkey.mlf.library import Library, Module

_STEPS_SHOWN = 40


def library_table(library: Library, *, every_step: bool = False) -> str:
    """One block per module."""
    blocks = ["\n".join(_module_lines(module, every_step=every_step)) for module in library.modules]
    return "\n\n".join(
        (f"{library.archive.path}  format version {library.version}  digest {library.digest[:16]}", *blocks)
    )


def library_facts(library: Library) -> dict[str, Any]:
    """The same as data, for ``--json``."""
    return {
        "path": str(library.archive.path),
        "version": library.version,
        "digest": library.digest,
        "files": list(library.files),
        "modules": {
            module.name: {
                "inputs": [[t.name, t.dtype, list(t.shape)] for t in module.inputs],
                "outputs": [[t.name, t.dtype, list(t.shape)] for t in module.outputs],
                "memory": module.memory,
                "turnkey": {key: value for key, value in module.metadata.turnkey.items() if key != "files"},
            }
            for module in library.modules
        },
    }


def _module_lines(module: Module, *, every_step: bool) -> Iterator[str]:
    extension = module.metadata.turnkey
    yield (
        f"{module.name}   {module.metadata.style}, executors {', '.join(module.metadata.executors) or 'none'}, "
        f"target {', '.join(module.metadata.targets)}"
    )
    for side, tensors in (("input", module.inputs), ("output", module.outputs)):
        for tensor in tensors:
            yield f"  {side:<7} {tensor.name}  {tensor.dtype}{list(tensor.shape)}  {grouped(tensor.bytes)} B"
    main: Mapping[str, Any] = module.metadata.main[0] if module.metadata.main else {}
    plan, abi = module.plan, module.abi
    if plan:
        verdict = (
            "gap 0 %, proven"
            if plan["workspace"] == plan["lower_bound"]
            else (f"gap {plan['gap']:.1%}" + (", proven least" if plan["proven"] else ""))
        )
        yield f" workspace  {grouped(plan['workspace']):>13}   bound {grouped(plan['lower_bound'])}, {verdict}"
    elif "workspace_size_bytes" in main:
        yield f" workspace  {grouped(main['workspace_size_bytes']):>13}"
    if "constants_size_bytes" in main:
        padding = f"   padding {grouped(abi['constants_padding'])}" if "constants_padding" in abi else ""
        yield f" constants  {grouped(main['constants_size_bytes']):>13}{padding}"
    if "io_size_bytes" in main:
        yield f" in + out   {grouped(main['io_size_bytes']):>13}"
    if {"static_bytes", "painted_bytes"} & extension.get("stack", {}).keys():
        yield _stack_line(extension["stack"])
    if "sections" in extension:
        s = extension["sections"]
        yield f" text       {grouped(s['text']):>13}   rodata {grouped(s['rodata'])}, data {s['data']}, bss {s['bss']}"
    if "symbols" in extension:
        yield f" needs      {' '.join(extension['symbols']) or 'nothing'}"
    if "verify" in extension:
        v = extension["verify"]
        yield (
            f" verified   {v['verdict']}: {v['samples']} samples, {v['reference']} {v['version']}, "
            f"max abs {v['max_abs']:.1e}, max rel {v['max_rel']:.1e}"
        )
    if "tuned" in extension:
        tuned = extension["tuned"]
        count = len(tuned["kernels"])
        own = "1 kernel with a tile of its own" if count == 1 else f"{count} kernels with tiles of their own"
        yield f" tuned      {own}, on {tuned['processor']}, {tuned['compiler']}"
    yield from _plan_lines(plan, every_step=every_step)


def _stack_line(stack: Mapping[str, int]) -> str:
    painted = (
        f"painted {grouped(stack['painted_bytes'])}" if "painted_bytes" in stack else "from the compiler's frames"
    )
    if "static_bytes" in stack:
        return f" stack      {grouped(stack['static_bytes']):>13}   at most; {painted}"
    return f" stack      {grouped(stack['painted_bytes']):>13}   painted: what a run touched"


def _plan_lines(plan: Mapping[str, Any], *, every_step: bool) -> Iterator[str]:
    """Buffers in the order of their first step: who writes them, where they lie and how long they live."""
    if not plan or not plan["buffers"]:
        return
    live = plan.get("live_bytes", [])
    rows = sorted(plan["buffers"], key=lambda row: (row[3], row[2]))
    shown = rows if every_step or len(rows) <= _STEPS_SHOWN else rows[:_STEPS_SHOWN]
    prefix = _common_prefix([row[5] for row in rows])
    width = max(len(row[5]) - len(prefix) for row in shown)
    names = max(min(len(row[0]), 40) for row in shown)
    head = f" {'step':>5}  {'kernel':<{width}}  {'writes':<{names}}  {'bytes':>11}  {'offset':>11}"
    yield f"{head}  {'life':<9}  live bytes"
    for name, size, offset, first, last, kernel in shown:
        level = grouped(live[first]) if first < len(live) else ""
        peak = "  <- peak" if first == plan["peak_step"] else ""
        label = name if len(name) <= 40 else f"...{name[-37:]}"
        yield (
            f" {first:>5}  {kernel[len(prefix) :]:<{width}}  {label:<{names}}  {grouped(size):>11}  "
            f"{grouped(offset):>11}  {f'{first}-{last}':<9}  {level:>10}{peak}"
        )
    if len(shown) < len(rows):
        yield f"   ... {len(rows) - len(shown)} more buffers: --all"


def _common_prefix(names: list[str]) -> str:
    """``tvmgen_<m>_``, which every kernel's name begins with."""
    first = next((name for name in names if name), "")
    position = first.find("fused_")
    return (
        first[:position] if position > 0 and all(name.startswith(first[:position]) for name in names if name) else ""
    )


def grouped(value: int) -> str:
    """Digits in groups of three, with blanks between."""
    return f"{value:,}".replace(",", " ")
