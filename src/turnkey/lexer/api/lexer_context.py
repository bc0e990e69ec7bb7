"""``LexerContext``: loads and holds the settings, exports, benchmarks, and packs what was found into one file."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from turnkey.errors import UsageError
from turnkey.lexer.call import Call
from turnkey.lexer.decoration import decoration_of
from turnkey.lexer.member_names import artifact_stem
from turnkey.lexer.options import LexerSettings, checked, resolve
from turnkey.lexer.runs import Runs
from turnkey.lexer.settings_file import read_project_settings, user_settings
from turnkey.lexer.working_directory import WorkingDirectory
from turnkey.settings import absolute_path

if TYPE_CHECKING:
    from turnkey.lexer.onnx_export import ExportResult
    from turnkey.lexer.report import BenchmarkReport
    from turnkey.lexer.run import Run
    from turnkey.lexer.subject import Subject
    from turnkey.lexer.sweep import Sweep
    from turnkey.model.samples import Sample

__all__ = ["LexerContext"]


class LexerContext:
    """Custom settings, and everything that was exported and benchmarked with them.

    Contexts share nothing: each has its settings, its results and a private directory that is removed with it. Any
    number of models and calls may follow each other, from any thread; one of them works at a time.

    Args:
        config: a settings file or its directory, or settings by key, instead of the file that is found
            (``$LEXER_CONFIG_PATH``, the working directory and above, the home directory).
        workdir: an existing directory to keep exported files in, instead of a private temporary one; the files stay.

    Raises:
        UsageError: malformed settings; the evidence has file and line.
    """

    def __init__(
        self, *, config: str | Path | Mapping[str, Any] | None = None, workdir: str | Path | None = None
    ) -> None:
        self._layers = (user_settings(config), read_project_settings())
        self._created = datetime.now(UTC)
        self._directory = WorkingDirectory(None if workdir is None else Path(workdir))
        self._runs = Runs()

    @property
    def settings(self) -> LexerSettings:
        """What holds for a model without decorator and a call without settings."""
        return resolve(*self._layers)

    @property
    def runs(self) -> tuple[Run, ...]:
        """What `flush` packs, in the order of the calls."""
        return self._runs.kept

    def export(
        self, torch_model: Any, input: Any, *, input_kwargs: Mapping[str, Any] | None = None, **settings: Any
    ) -> ExportResult:
        """Write the model as ONNX file, check it, and compare it with PyTorch.

        Args:
            torch_model: a module, or anything that can be called.
            input: a tensor; a tuple or list of positional arguments; or a mapping of keyword arguments.
            settings: any key of the configuration, for this call.

        Raises:
            UsageError: an unknown or wrong setting, or names that do not fit the model.
            ModelError: the model cannot be called with the input.
            ConversionError: the model cannot be exported, or the checker refuses the file.
            ValidationError: the file computes something else (``on_validation_failure='raise'``).
        """
        from turnkey.lexer.measuring import left_alone, one_at_a_time
        from turnkey.lexer.progress import told_on_terminal

        call = self._begin("export", self._effective(torch_model, settings, where="export()"))
        with one_at_a_time(), told_on_terminal():
            subject = _subject(torch_model, input, input_kwargs, call.settings)
            with left_alone(subject.module):
                result = self._export(subject, call)
        self._runs.remember(subject, call, export=result)
        if call.settings.enable_stdout:
            print(result)
        return result

    def benchmark(
        self,
        torch_model: Any,
        input: Any,
        num_iterations: int | None = None,
        *,
        input_kwargs: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> BenchmarkReport:
        """Time the model in every engine that is enabled, side by side.

        Args:
            torch_model, input, settings: as for `export`.
            num_iterations: samples per engine; not given anywhere: as many as fit into ``max_seconds``.

        Raises:
            UsageError, ModelError, ConversionError, ValidationError: as `export`, before anything is timed.
            MissingDependencyError: an engine is not installed.
        """
        from turnkey.lexer.measuring import one_at_a_time, require_engines
        from turnkey.lexer.progress import told_on_terminal

        given = settings if num_iterations is None else {**settings, "num_iterations": num_iterations}
        call = self._begin("benchmark", self._effective(torch_model, given, where="benchmark()"))
        require_engines(call.settings)
        with one_at_a_time(), told_on_terminal():
            subject = _subject(torch_model, input, input_kwargs, call.settings)
            report = self._benchmark(subject, call, exports=[])
        if call.settings.enable_stdout:
            if report.export is not None:
                print(str(report.export).partition("\n")[0])
            print(report)
        return report

    def sweep(
        self,
        torch_model: Any,
        input: Any,
        *,
        batch_sizes: Sequence[int] | None = None,
        shapes: Sequence[Sequence[int] | Mapping[str, Sequence[int]]] | None = None,
        threads: Sequence[int] | None = None,
        input_kwargs: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Sweep:
        """Benchmark the model at every combination of batch sizes, shapes and thread counts.

        The model is called on every input before anything is timed. One ONNX file serves all points that it takes and
        computes right; the others get one of their own.

        Args:
            torch_model, input, settings: as for `benchmark`; inputs of other sizes are made from ``input``.
            batch_sizes: of every input that has the first input's first extent.
            shapes: one shape each where the model has one input, else shapes by name of an input.
            threads: of all engines; by default those of the settings.

        Raises:
            UsageError: nothing to vary, or a value that cannot be; and what `benchmark` raises.
        """
        from turnkey.lexer.measuring import one_at_a_time, require_engines
        from turnkey.lexer.progress import told_on_terminal
        from turnkey.lexer.sweep import Sweep, sweep_points
        from turnkey.pipeline.events import tell_progress

        if batch_sizes is not None and "batch_size" in settings:
            raise UsageError(
                "a sweep over batch_sizes takes no batch_size beside", evidence=f"{settings['batch_size']=}"
            )
        effective = self._effective(torch_model, settings, where="sweep()")
        if batch_sizes is not None:
            effective = replace(effective, batch_size=None)  # what is varied is stronger than a file's setting
        require_engines(effective)
        exports: list[tuple[str, ExportResult]] = []
        with one_at_a_time(), told_on_terminal():
            self._directory.require_open()
            example = _subject(torch_model, input, input_kwargs, effective)
            points = sweep_points(example.inputs, batch_sizes=batch_sizes, shapes=shapes, threads=threads)
            distinct = {id(each.inputs): each.inputs for each in points}  # thread counts share theirs
            subjects = {key: _resubjected(torch_model, example, one, effective) for key, one in distinct.items()}
            reports = []
            for number, point in enumerate(points, 1):
                tell_progress(f"point {number} of {len(points)}: {point}")
                call = self._begin("benchmark", replace(effective, threads=point.threads or effective.threads))
                reports.append(self._benchmark(subjects[id(point.inputs)], call, exports=exports))
        found = Sweep(reports, class_name=example.class_name)
        if effective.enable_stdout:
            print(found)
        return found

    def flush(
        self, name: str, target_directory: str | Path | None = None, *, tags: Mapping[str, str] | None = None
    ) -> Path:
        """Write everything since the context was made (or cleared) to ``<name>.lexer``; returns its absolute path.

        Args:
            name: without suffix.
            target_directory: made if it is missing; relative to the working directory of this call.
            tags: texts of your own, kept under ``[lineage.tags]``.

        Raises:
            UsageError: a name that cannot be a file's, or a context that is closed.
            InputError: the directory cannot be written; an older artifact stays as it is.
        """
        from turnkey.lexer.measuring import one_at_a_time
        from turnkey.lexer.packing import pack

        stem = artifact_stem(name)
        own = checked({"tags": dict(tags)}, where="flush()")["tags"] if tags is not None else {}
        path = absolute_path(target_directory or ".") / f"{stem}.lexer"
        with one_at_a_time():
            self._directory.require_open()
            missing = pack(path, self.runs, created=self._created, tags={**self.settings.tags, **own})
        for text in missing:
            warnings.warn(f"{path.name}: {text}", stacklevel=2)
        if self.settings.enable_stdout:
            print(f"wrote {path}")
        return path

    def clear(self) -> None:
        """Forget all results: the next artifact starts empty."""
        self._runs.clear()

    def close(self) -> None:
        """Remove the private directory; paths of export results are gone with it.

        Afterwards `export`, `benchmark`, `sweep` and `flush` raise UsageError. Waits for a call that is at work.
        """
        from turnkey.lexer.measuring import one_at_a_time

        with one_at_a_time():
            self.clear()
            self._directory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LexerContext with {len(self.runs)} runs>"

    def _effective(self, model: Any, given: Mapping[str, Any], *, where: str) -> LexerSettings:
        return resolve(*self._layers, decoration_of(model), checked(given, where=where))

    def _begin(self, kind: str, settings: LexerSettings) -> Call:
        self._directory.require_open()
        return self._runs.begin(kind, settings)

    def _benchmark(self, subject: Subject, call: Call, *, exports: list[tuple[str, ExportResult]]) -> BenchmarkReport:
        """Export unless one of ``exports`` (by identity of what they were made for) will do; time; remember."""
        from turnkey.lexer.measuring import left_alone, measured
        from turnkey.lexer.report import BenchmarkReport

        export, found = None, None
        with left_alone(subject.module):
            if call.settings.needs_onnx:
                export = _at_hand(subject, call, exports) or self._export(subject, call)
                exports.append((subject.identity, export))
            if call.settings.engine_names:
                found = measured(subject, export, call.settings, self._folder(call.number))
        rows = [] if found is None else call.rows(found, subject, export)
        self._runs.remember(subject, call, export=export, rows=tuple(rows))
        return BenchmarkReport(
            rows,
            class_name=subject.class_name,
            export=export,
            record=None if found is None else found.record,
            notes=() if found is None else (*found.notes, *found.failures),
        )

    def _export(self, subject: Subject, call: Call) -> ExportResult:
        from turnkey.lexer.onnx_export import ValidationError, export_subject
        from turnkey.pipeline.events import tell_progress

        tell_progress(f"exporting {subject.class_name} to ONNX")
        try:
            path = self._folder(call.number) / f"{self._runs.model_stem(subject)}.onnx"
            return export_subject(subject, call.settings, path, directory=self._directory)
        except ValidationError as error:
            self._runs.remember(subject, call, export=error.result, error=error.what)
            if call.settings.enable_stdout:
                print(error.result)
            raise

    def _folder(self, number: int) -> Path:
        return self._directory.path / str(number)


def _subject(model: Any, input: Any, input_kwargs: Mapping[str, Any] | None, settings: LexerSettings) -> Subject:
    from turnkey.lexer.subject import subject_of

    return subject_of(model, input, input_kwargs, settings)


def _resubjected(model: Any, example: Subject, inputs: Sample, settings: LexerSettings) -> Subject:
    """The model with another input of the example's structure."""
    from turnkey.model.torch_bridge import tensors_of

    structure = example.source.samples.structure
    assert structure is not None, "made so"
    args, kwargs = structure.bind(tensors_of(inputs))
    return _subject(model, tuple(args), kwargs, settings)


def _at_hand(subject: Subject, call: Call, exports: list[tuple[str, ExportResult]]) -> ExportResult | None:
    """The first of some exports of one model that serves this input; validated with it, unless made for it."""
    from turnkey.lexer.onnx_export import reused

    same = next((export for identity, export in reversed(exports) if identity == subject.identity), None)
    if same is not None or not call.settings.enable_export_validation:
        return same
    found = (reused(export, subject, call.settings) for export in dict(exports).values())
    return next((export for export in found if export is not None), None)
