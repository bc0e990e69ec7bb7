"""The page docs/formats.md from what `formats_matrix.py` found; pure."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = ("torch", "onnx", "onnxruntime", "openvino", "nncf", "executorch", "torchao", "timm", "transformers")
_DASH = "–"
_NOT_YET = "not yet"
_REASON_CHARACTERS = 140
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")

Found = Mapping[str, Mapping[str, Any]]


def page(found: Found, *, formats: Sequence[str], live: Sequence[str], of: int) -> str:
    """The Markdown of the page.

    Args:
        found: results by architecture, in order.
        formats: as they were asked for.
        live: runtimes of the live module.
        of: how many architectures there are to be.
    """
    threads = sorted({item["threads"] for item in found.values()})
    processors = sorted({item["processor"] for item in found.values() if item.get("processor")})
    packages = ", ".join(f"{name} {number}" for name in _PACKAGES if (number := _version(name)))
    lines = [
        "# Formats and runtimes",
        "",
        "Written by `benchmarks/formats_matrix.py`. Networks have random weights and are small where the architecture",
        "allows it; what is shown is which formats survive, how exact they are, and how latency compares on one kind",
        "of machine. Ratios are torch eager's latency over the candidate's, measured together at `--effort quick`:",
        "one process each, so that only differences above 10 % are claimed. Errors are against torch over all",
        "outputs, samples and batch sizes: the largest of an element, and the largest norm of the error over that",
        "of the output. What is not verified is never recommended.",
        "",
        f"{len(found)} of {of} architectures; {' and '.join(map(str, threads)) or 'no'} thread(s)"
        f"{' of ' + ', '.join(processors) if processors else ''}. {packages}.",
        "",
        "Not run here, for want of a GPU: `tensorrt`, `torch-tensorrt` with their float16 forms, and the runtimes",
        "`tensorrt`, `tensorrt-engine`, `torch-tensorrt`. `turnkey system-info` says what a machine can run and what",
        "the rest lacks; `turnkey ... convert --to FORMAT` makes any of them; [plug-ins](plugins.md) add others.",
        "`jax`, `tf-savedmodel` and `onnx-tensorflow` start from functions instead of modules: their tests run them",
        "where JAX and TensorFlow are installed. `onnx-dynamo` and `onnx-torchscript` are `onnx` by one exporter.",
        "`onnx-bf16` is verified and measured with OpenVINO, since ONNX Runtime has kernels for it on CUDA alone;",
        "`optimize` tries it where the processor has bfloat16 instructions.",
        "",
        "## The best verified candidate",
        "",
        *_best(found),
        "",
        "## Ratio of latency to torch eager",
        "",
        "`×` is the ratio; *invalid* did not compute what the model computes, *unverified* could not be proven,",
        f"{_DASH} could not be made or run; the reasons are below.",
        "",
        *_matrix(found, formats, live),
    ]
    for name, item in found.items():
        lines += ["", f"## {name}", "", *_details(item, live)]
    return "\n".join(lines) + "\n"


def _best(found: Found) -> Iterable[str]:
    yield "| architecture | best verified | over torch | over torch-compile | over plain ONNX Runtime |"
    yield "|---|---|---:|---:|---:|"
    rivals = ("torch", "torch-compile", "onnx @ onnxruntime")
    gains: dict[str, list[float]] = {rival: [] for rival in rivals}
    for name, item in found.items():
        key = best_of(item)
        cells = []
        for rival in rivals:
            gain = _gain(item["candidates"], key, rival)
            cells.append(_DASH if gain is None else f"{gain:.2f}×")
            if gain is not None and not _spoilt(item):  # a mean over figures that do not count counts for nothing
                gains[rival].append(gain)
        yield f"| {name}{' †' if _spoilt(item) else ''} | {key or _DASH} | {' | '.join(cells)} |"
    means = [
        f"{statistics.geometric_mean(values):.2f}× (of {len(values)})" if values else _DASH
        for values in gains.values()
    ]
    yield f"| **geometric mean** | | {' | '.join(means)} |"
    spoilt = sorted({_spoilt(item) for item in found.values()} - {""})
    if spoilt:
        yield ""
        yield f"† measured on a busy machine, so that its figures are INVALID ({'; '.join(spoilt)}): run it again by"
        yield "`benchmarks/formats_matrix.py --measure-again` where nothing else runs."


def _spoilt(item: Mapping[str, Any]) -> str:
    """Why the figures of an architecture are no good, in one word; empty if they are."""
    reasons = item["candidates"].get("torch", {}).get("reasons") or [""]
    return str(reasons[0]).partition(":")[0]


def best_of(item: Mapping[str, Any]) -> str | None:
    """The fastest candidate whose variant is verified and whose measurement has right outputs."""
    sound = [
        key
        for key, row in item["candidates"].items()
        if row["latency_ms"] is not None and row["is_valid"] and _is_verified(item, row)
    ]
    return max(sound, key=lambda key: speed(item["candidates"][key]), default=None)


def speed(row: Mapping[str, Any]) -> float:
    """Torch's latency over the candidate's, measured together; 1 for torch itself."""
    return float(row["ratio"][0]) if row["ratio"] else 1.0


def _is_verified(item: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    if row["variant"] is None:
        return row["runtime"] == "torch" or row["checked"] == "valid"
    return any(made.get("key") == row["variant"] and made["outcome"] == "valid" for made in item["formats"].values())


def _gain(candidates: Mapping[str, Any], key: str | None, rival: str) -> float | None:
    if key is None or candidates.get(rival, {}).get("latency_ms") is None:
        return None
    return speed(candidates[key]) / speed(candidates[rival])


def _matrix(found: Found, formats: Sequence[str], live: Sequence[str]) -> Iterable[str]:
    yield f"| format (runtime, where not its first) | {' | '.join(found)} |"
    yield f"|---|{'---:|' * len(found)}"
    for runtime in live:
        rows = [(item, item["candidates"].get(runtime)) for item in found.values()]
        cells = [
            (_DASH if item.get("measuring_failed") else _NOT_YET) if row is None else _cell(item, row)
            for item, row in rows
        ]
        yield f"| {runtime} | {' | '.join(cells)} |"
    for wanted in formats:
        cells = []
        for item in found.values():
            made = item["formats"].get(wanted, {})
            cells.append(_made_cell(item, made, _candidate_of(item, made)))
        yield f"| {wanted} | {' | '.join(cells)} |"
    cells = [
        _made_cell(item, item["formats"].get("onnx", {}), item["candidates"].get("onnx @ openvino"))
        for item in found.values()
    ]
    yield f"| onnx (openvino) | {' | '.join(cells)} |"


def _candidate_of(item: Mapping[str, Any], made: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = item["candidates"].get(f"{made.get('key')} @ {made.get('runtime')}")
    return found


def _made_cell(item: Mapping[str, Any], made: Mapping[str, Any], row: Mapping[str, Any] | None) -> str:
    return _cell(item, row) if made.get("outcome") == "valid" else _outcome(made)


def _outcome(made: Mapping[str, Any]) -> str:
    if not made:
        return _NOT_YET
    if made["outcome"] == "left out":
        return "left out"
    return f"*{made['outcome']}*" if made["outcome"] in ("invalid", "unverified") else _DASH


def _cell(item: Mapping[str, Any], row: Mapping[str, Any] | None) -> str:
    if row is None or row["latency_ms"] is None:
        return "valid" if row is None else _DASH
    if row["checked"] == "invalid":
        return "*invalid*"
    if row["ratio"] is None:
        return "1"
    return f"{row['ratio'][0]:.2f}×" if row["is_valid"] else f"({row['ratio'][0]:.2f}×)"


def _details(item: Mapping[str, Any], live: Sequence[str]) -> Iterable[str]:
    asked = f", `{item['arguments']}`" if item.get("arguments") else ""
    yield f"{item['class']}, {item['parameters']:,} parameters{asked}."
    if item.get("measuring_failed"):
        yield ""
        yield f"Not all of it was measured: {_plain(item['measuring_failed'])}."
    yield ""
    yield "| candidate | works | error / relative L2 | over torch [interval] | size | made in |"
    yield "|---|---|---:|---:|---:|---:|"
    for key in live:
        row = item["candidates"].get(key)
        if row is not None:
            compiled = _DASH if row["compile_ms"] is None else f"{row['compile_ms'] / 1000:.0f} s"
            yield f"| {key} | {_works_live(row)} | {_DASH} | {_ratio(row)} | {_DASH} | {compiled} |"
    for wanted, made in item["formats"].items():
        if made["outcome"] == "left out":
            continue
        candidate = _candidate_of(item, made)
        errors = [made[name] for name in ("max_abs", "relative_l2") if made.get(name) is not None]
        error = " / ".join(f"{value:.1e}" for value in errors) or _DASH
        size = _DASH if made.get("size_bytes") is None else _size(made["size_bytes"])
        built = _DASH if made.get("build_s") is None else f"{made['build_s']:.1f} s"
        where = f" @ {made['runtime']}" if made.get("runtime") else ""
        name = f"{made.get('key') or wanted}{where}"
        works = _works(made) if candidate is None or not candidate["error"] else f"measuring: {candidate['error']}"
        yield f"| {name} | {works} | {error} | {_ratio(candidate)} | {size} | {built} |"


def _works_live(row: Mapping[str, Any]) -> str:
    if row["error"]:
        return _plain(f"no: {row['error']}")
    return "yes" if row["runtime"] == "torch" or row["checked"] == "valid" else f"{row['checked']}"


def _works(made: Mapping[str, Any]) -> str:
    if made["outcome"] == "valid":
        return "yes"
    kind = "no" if made["outcome"] == "failed" else made["outcome"]
    return _plain(f"{kind}: {made.get('reason', '')}")


def _plain(text: str) -> str:
    """A cell: one line, no markup, no address of this run, not endless."""
    flat = " ".join(_ADDRESS.sub("", text).split()).replace("|", "/").replace("<", "‹").replace("`", "'")
    return flat if len(flat) <= _REASON_CHARACTERS else flat[: _REASON_CHARACTERS - 1] + "…"


def _ratio(row: Mapping[str, Any] | None) -> str:
    if row is None or row["ratio"] is None:
        return "1" if row is not None and row["runtime"] == "torch" and row["latency_ms"] else _DASH
    ratio, low, high = row["ratio"]
    return f"{ratio:.2f}× [{low:.2f}, {high:.2f}]" + ("" if row["is_valid"] else " INVALID")


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"


def _version(name: str) -> str:
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return ""
