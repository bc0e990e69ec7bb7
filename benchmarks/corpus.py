"""Many inputs with isolation: what a prewarmed worker saves, against fresh interpreters and TurnkeyML 4.0.11.

    python benchmarks/corpus.py                         # 50 small inputs, both exporters, prewarmed and fresh
    python benchmarks/corpus.py --inputs 10 --kinds prewarmed --exporters torchscript
    python benchmarks/corpus.py --measure               # with optimize-ort and benchmark, as far as the host allows
    python benchmarks/corpus.py --architectures 200     # real networks of timm and transformers, discover + export
    python benchmarks/corpus.py --table-only            # what is there already, also of calls that have not ended
    python benchmarks/corpus.py --table-only --page     # the same, written into docs/scale.md

Printed are the tables of docs/scale.md, in Markdown. A row is one command in a process of its own; CPU seconds are
those of all its processes, the template included. The networks of ``--architectures`` are the first of
architectures.txt, with random weights and small where their library lets them be.

Every row has a folder in ``--place``: the same command after an interruption goes on with the inputs that are missing,
and its row holds the sums over all parts. A row that is finished is not measured again; ``--retry failed`` gives those
that failed another run, another ``--place`` begins anew. The figures of TurnkeyML 4.0.11 were taken on a shared host
of the same kind (docs/scale.md); read ratios of CPU time. The exit code is 1 if a small input failed, a target was
missed, a result was lost, or something is still missing.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

from corpus_row import EXPORTERS, FINISHED, LOST, Published, Row
from watched_call import WatchedCall

from turnkey.pipeline.failure import FAILED

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs" / "scale.md"
PLACE = REPOSITORY / ".benchmarks" / "isolated"

EXPORTED = Published("TurnkeyML 4.0.11, 50 scripts, isolated, TorchScript", 189.0 / 50, 194.0 / 50, 378)
MEASURED = Published("TurnkeyML 4.0.11, 1 script in one process, TorchScript", 6.11, 5.69, 387)
TARGETS = {"torchscript": 8.0, "dynamo": 3.0}
"""How many times less CPU per input than `EXPORTED` prewarmed workers are to take, by exporter."""
MEASURED_TARGET = 1 / 1.5
"""Of `MEASURED`: a measurement may take half as much again, since its processes are fresh."""
_TARGET_INPUTS = 50

ARCHITECTURE = """\
#labels library::{library}
import runpy
import sys

sys.path.insert(0, {folder!r})
sys.argv += ["--arch", {name!r}]
runpy.run_path({script!r}, run_name="__main__")
"""

SCRIPT = """\
import torch

torch.manual_seed({seed})


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear({width}, {hidden})
        self.second = torch.nn.Linear({hidden}, 4)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


Small()(torch.rand(2, {width}))
"""


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, _end)
    rows = [architectures(options)] if options.architectures else small_inputs(options)
    if not options.table_only:
        for row in rows:
            row.work(options.retry)
    begun = [row for row in rows if row.call.parts]
    if not begun:
        print("nothing was run yet", file=sys.stderr)
        return 1
    if options.architectures:
        name, lines = "architectures", architectures_table(begun[0])
    else:
        name = "small inputs, measured" if options.measure else "small inputs"
        lines = small_inputs_table(begun)
    print("\n".join(lines))
    if options.page:
        write_into_page(name, lines)
    return 0 if begun == rows and all(row.is_as_asked() for row in rows) else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", choices=("prewarmed", "fresh"), default=["prewarmed", "fresh"])
    parser.add_argument("--exporters", nargs="+", choices=tuple(EXPORTERS), default=list(EXPORTERS))
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--architectures", type=int, default=0, metavar="N", help="the first N of architectures.txt")
    parser.add_argument("--retry", nargs="+", choices=("failed", "timeout"), default=[], help="run these again")
    parser.add_argument("--table-only", action="store_true", help="print what is there, run nothing")
    parser.add_argument("--page", action="store_true", help="write the table into docs/scale.md, too")
    parser.add_argument("--place", type=Path, default=PLACE, help="scripts, caches and figures")
    options = parser.parse_args()
    options.place = options.place.absolute()
    return options


def small_inputs(options: argparse.Namespace) -> list[Row]:
    """One row for each exporter and kind of worker."""
    paths = small_scripts(options.place / f"{options.inputs}-scripts", options.inputs)
    rows = []
    for exporter in options.exporters:
        tools = ["discover", "export-pytorch", "--exporter", "fast" if exporter == "torchscript" else exporter]
        if options.measure:
            tools += ["optimize-ort", "benchmark", "--effort", "quick", "--runtime", "onnxruntime"]
        target = MEASURED_TARGET if options.measure else TARGETS[exporter]
        for workers in options.kinds:
            name = f"{options.inputs}-{exporter}-{workers}" + ("-measured" if options.measure else "")
            has_target = workers == "prewarmed" and options.inputs >= _TARGET_INPUTS
            rows.append(
                Row(
                    call=WatchedCall(options.place / (f"{name}-{options.jobs}jobs" if options.jobs > 1 else name)),
                    paths=paths,
                    workers=workers,
                    exporter=exporter,
                    jobs=options.jobs,
                    tools=tuple(tools),
                    published=MEASURED if options.measure else EXPORTED,
                    target=target if has_target else None,
                )
            )
    return rows


def small_scripts(folder: Path, count: int) -> tuple[Path, ...]:
    """Networks of different widths, so that no two are the same model."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / f"small{index:03d}.py" for index in range(count))
    for index, path in enumerate(paths):
        path.write_text(SCRIPT.format(seed=index, width=4 + index % 7, hidden=8 + index))
    return paths


def architectures(options: argparse.Namespace) -> Row:
    """Real architectures: every one has a result, whatever it is."""
    scripts = options.place / "architectures-scripts"
    scripts.mkdir(parents=True, exist_ok=True)
    paths = []
    lines = (REPOSITORY / "benchmarks" / "architectures.txt").read_text().splitlines()
    for library, name in (line.split() for line in lines[: options.architectures]):
        path = scripts / f"{library}-{name}.py"
        script = REPOSITORY / "models" / library / "any.py"
        path.write_text(ARCHITECTURE.format(library=library, name=name, folder=str(script.parent), script=str(script)))
        paths.append(path)
    return Row(
        call=WatchedCall(options.place / f"architectures-{options.architectures}"),
        paths=tuple(paths),
        workers="prewarmed",
        exporter="torchscript",
        jobs=options.jobs,
        tools=("discover", "export-pytorch", "--exporter", "fast"),
        limits=("--timeout", "900", "--memory-limit", "8GiB", "--lean-cache"),
        may_fail=True,
    )


def small_inputs_table(rows: list[Row]) -> list[str]:
    """Small inputs beside the published figures."""
    published = rows[0].published
    assert published is not None
    lines = [
        f"{len(rows[0].paths)} small scripts, `{' '.join(rows[0].tools)}`"
        + ("; the other exporter likewise." if len({row.exporter for row in rows}) > 1 else "."),
        "",
        "| workers | exporter | inputs | wall s | CPU s | wall s per input | CPU s per input | MiB per worker "
        "| against TurnkeyML, per input | asked for |",
        "|---|---|---|---:|---:|---:|---:|---:|---|---|",
    ]
    for row in rows:
        statuses = Counter(ending.status for ending in row.endings())
        said = ", ".join(f"{count} {status}" for status, count in statuses.most_common())
        cpu = row.cpu_ratio(published)
        asked = ""
        if row.target is not None:
            asked = f"{_times(row.target)} CPU: {'yes' if cpu >= row.target else 'NO'}"
        lines.append(
            f"| {row.workers} | {EXPORTERS[row.exporter]} | {said} | {row.figures()} "
            f"| {_times(cpu)} CPU, {_times(row.wall_ratio(published))} time | {asked} |"
        )
    lines += [
        f"| {published.name} | | | | | {published.wall_s:.2f} | {published.cpu_s:.2f} | {published.mib} | | |",
        "",
        *(f"- {row.remark()}" for row in rows),
        *(f"- {failure}" for row in rows for failure in row.failures()),
    ]
    return lines


def architectures_table(row: Row) -> list[str]:
    """Real architectures: what came of them."""
    endings = row.endings()
    statuses = Counter(ending.status for ending in endings)
    exporters = Counter(ending.exporter for ending in endings if ending.exporter)
    return [
        f"The first {len(row.paths)} of `benchmarks/architectures.txt`, `{' '.join(row.tools)}`.",
        "",
        "| inputs | successful | failed | results lost | wall s | CPU s | wall s per input | CPU s per input "
        "| MiB of the largest worker |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        f"| {len(endings)} | {sum(statuses[status] for status in FINISHED)} "
        f"| {sum(statuses[status] for status in FAILED)} | {statuses[LOST]} | {row.figures()} |",
        "",
        f"- files by exporter: {', '.join(f'{count} {name}' for name, count in exporters.most_common())}",
        f"- {row.remark()}",
        *(f"- {failure}" for failure in row.failures()),
    ]


def write_into_page(name: str, lines: list[str]) -> None:
    """Replace the table of that name in docs/scale.md."""
    first, last = f"<!-- corpus.py: {name} -->\n", "<!-- end -->\n"
    before, found, rest = PAGE.read_text("utf-8").partition(first)
    assert found, f"{PAGE} has no place for {name}"
    _, _, after = rest.partition(last)
    PAGE.write_text("".join([before, first, "\n", *(f"{line}\n" for line in lines), "\n", last, after]), "utf-8")


def _times(ratio: float) -> str:
    return f"{ratio:.1f} times less" if ratio >= 1 else f"{1 / ratio:.1f} times more"


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
