"""The work on a source model that may crash or hang: conversions and comparisons, one job at a time.

Jobs and answers are plain JSON, since the same workbench stands in a process of its own (`turnkey.navigator.worker`)
and, for models that cannot leave their process, in the caller's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from turnkey.file_digest import digest_of_files
from turnkey.formats import ConvertRequest, find_format
from turnkey.formats.format_settings import settings_of
from turnkey.model.samples import Sample, read_samples
from turnkey.model.source import SourceModel
from turnkey.navigator.model_files import files_of
from turnkey.navigator.runner_adapter import runtime_of
from turnkey.navigator.tolerances import compare_outputs, effective_limits, limits_from, summarize
from turnkey.pipeline import durable
from turnkey.runtimes import LoadRequest, Runner
from turnkey.verify import batch_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    """A source model, and what is done with it.

    Attributes:
        source: the source as the core sees it; None where there are files alone.
        samples: what conversions of files are tuned and calibrated with; those of the source where there is one.
    """

    source: SourceModel | None
    samples: tuple[Sample, ...] = ()

    def perform(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Do one job.

        Raises:
            TurnkeyError: it failed; anything else is a converter's or runtime's own exception.
        """
        return {"convert": self._convert, "check": self._check}[job["kind"]](job)

    def _convert(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Make one file. Answers with exporter, notes, digest, size and companions."""
        form = find_format(job["format"])
        path = Path(job["path"])
        parent = None if job["parent"] is None else Path(job["parent"])
        path.parent.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        conversion = form.convert(
            ConvertRequest(
                source=self.source,
                parent=parent,
                path=path,
                settings=settings_of(form, job["settings"]),
                samples=self.samples if self.source is None else self.source.samples.inputs,
            )
        )
        if parent is None and path.suffix == ".onnx":
            _rename_outputs(path, job["output_names"])
        files = files_of(conversion.path, [str(each) for each in conversion.companions])
        digest, size_bytes = digest_of_files(files)
        for attempt in conversion.attempts:
            print(f"{attempt}", flush=True)
        return {
            "path": str(conversion.path),
            "exporter": conversion.exporter,
            "notes": list(conversion.notes),
            "sha256": digest,
            "size_bytes": size_bytes,
            "files": [str(file) for file in files],
            "seconds": time.perf_counter() - started,
        }

    def _check(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Run all samples of the sets on one runner and compare them with the references beside them."""
        runner = self.load(job)
        comparisons, sizes = [], []
        judged_by: dict[str, tuple[float, float] | None] = {}
        given = limits_from(job["limits"])
        try:
            for directory in job["sets"]:
                samples = read_samples(Path(directory))
                for inputs, reference in zip(samples.inputs, samples.outputs, strict=True):
                    if reference is None:
                        continue
                    actual = runner.outputs(runner.run(runner.prepare(inputs)))
                    found = compare_outputs(reference, actual, precision=job["precision"], limits=given)
                    judged_by = effective_limits(reference, actual, precision=job["precision"], limits=given)
                    comparisons.append(found)
                    sizes.append(batch_size(inputs))
                    print(f"batch {sizes[-1]}: {found.verdict.value} {found.reason}", flush=True)
        finally:
            runner.close()
        finding = summarize(comparisons, outputs=list(judged_by), limits=judged_by)
        return {
            "ok": finding.ok,
            "reason": finding.reason,
            "tolerances": [asdict(each) for each in finding.tolerances],
            "batch_sizes": sorted(set(sizes)),
            "samples": len(comparisons),
        }

    def load(self, job: Mapping[str, Any]) -> Runner:
        """The runner of a job: ``place`` of a registered class or ``runtime``, ``path`` or the live source."""
        live = self.source if job["path"] is None else None
        request = LoadRequest(
            module=None if live is None else live.module,
            structure=None if live is None else live.samples.structure,
            path=None if job["path"] is None else Path(job["path"]),
            device=job["device"],
            threads=job["threads"],
            options=dict(job["options"]),
        )
        return runtime_of(job["runtime"], place=job["place"]).load(request)


def _rename_outputs(path: Path, names: Sequence[str]) -> None:
    """Give the outputs of an exported file their documented names, by position."""
    from turnkey.formats.onnx_file import load_graph
    from turnkey.formats.onnx_naming import name_border
    from turnkey.formats.onnx_signature import read_signature

    model = load_graph(path)  # without its external data, which stays where it is
    inputs = [spec.name for spec in read_signature(model).inputs]
    name_border(model.graph, input_names=inputs, output_names=names)
    durable.write_bytes(path, model.SerializeToString())
