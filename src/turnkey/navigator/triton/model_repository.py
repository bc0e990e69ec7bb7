"""A model repository: ``<repository>/<name>/config.pbtxt`` and ``<repository>/<name>/<version>/model.<suffix>``.

A server may watch the repository while it is written: the version appears whole by one rename, and the configuration
is written last. A version that is there stays, unless ``override`` is given; a call that fails leaves nothing behind.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from turnkey.navigator.exceptions import (
    DeployerError,
    EmptyPackageError,
    WrongParameterError,
)
from turnkey.navigator.format import DeviceKind, Format
from turnkey.navigator.package_result import Package
from turnkey.navigator.runner_table import runner_kinds
from turnkey.navigator.strategy import Candidates, RuntimeResult, Strategy, best_runtime, strategies_of
from turnkey.navigator.triton.model_config import (
    ModelConfig,
    ONNXModelConfig,
    PythonModelConfig,
    PyTorchModelConfig,
    TensorFlowModelConfig,
    TensorRTModelConfig,
)
from turnkey.navigator.triton.optimization import OpenVINOAccelerator, TensorRTAccelerator
from turnkey.navigator.triton.parts import whole
from turnkey.navigator.triton.served_model import ServedModel
from turnkey.pipeline import durable
from turnkey.settings import absolute_path

CONFIG_NAME = "config.pbtxt"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
_SUFFIXES = {
    ONNXModelConfig: (".onnx",),
    PyTorchModelConfig: (".pt",),
    PythonModelConfig: (".py",),
    TensorRTModelConfig: (".plan",),
    TensorFlowModelConfig: (".savedmodel",),
}
_SERVED: dict[Format, type[ModelConfig]] = {
    Format.ONNX: ONNXModelConfig,
    Format.TORCHSCRIPT: PyTorchModelConfig,
    Format.TENSORRT: TensorRTModelConfig,
    Format.TF_SAVEDMODEL: TensorFlowModelConfig,
}
_NOT_SERVED = ("TensorRTCUDAGraph",)


def add_model(
    model_repository_path: str | Path,
    model_name: str,
    model_path: str | Path,
    config: ModelConfig,
    model_version: int = 1,
    *,
    override: bool = False,
    companions: Sequence[str | Path] = (),
) -> Path:
    """Add one model to a repository; returns ``<repository>/<name>``.

    Args:
        model_path: of the model; external data of an ONNX file goes with it.
        config: decides the backend, and with it the name of the file.
        override: replace this version and the configuration if they are there.
        companions: further files that belong into the version's folder.

    Raises:
        WrongParameterError: a name or a version that a repository cannot have, or a file of another backend.
        DeployerError: the model is missing, the version is there, or the repository cannot be written.
    """
    if not _NAME.fullmatch(model_name):
        raise WrongParameterError("this is no name for a model", evidence=repr(model_name))
    whole("model_version", model_version, least=1)
    source = Path(model_path)
    if not source.exists():
        raise DeployerError("there is no such model", evidence=str(source))
    suffixes = _SUFFIXES.get(type(config), (source.suffix,))
    if source.suffix not in suffixes:
        raise WrongParameterError(
            f"the backend {config.backend.value} takes {', '.join(suffixes)}", evidence=str(source)
        )
    directory = absolute_path(model_repository_path) / model_name
    version = directory / str(model_version)
    if version.exists() and not override:
        raise DeployerError(
            f"version {model_version} of {model_name} is there already, and stays as it is",
            evidence=str(version),
            remedy="another model_version, or override=True",
        )
    text = config.to_pbtxt(model_name)
    is_new = not directory.exists()
    durable.make_directory(directory)
    try:
        _publish_version(source, version, config, companions)
        durable.write_text(directory / CONFIG_NAME, text)
    except BaseException:
        if is_new:  # nothing of the user's was here
            shutil.rmtree(directory, ignore_errors=True)
        raise
    return directory


def add_model_from_package(
    model_repository_path: str | Path,
    model_name: str,
    package: Package,
    model_version: int = 1,
    strategy: Strategy | None = None,
    response_cache: bool = False,
    strategies: Iterable[Strategy] | None = None,
    warmup: bool = False,
    *,
    override: bool = False,
) -> Path:
    """Add the best model of a package that the server can execute; returns ``<repository>/<name>``.

    Args:
        warmup: requests of random values at batch 1 and at the largest profiled batch, before the model is ready.

    Raises:
        EmptyPackageError: the package has no usable model.
        WrongParameterError: the batch axis of its models is not the first one.
        RuntimeAnalyzerError: none of its models can be served; the evidence lists them with the reasons.
    """
    if package.is_empty():
        raise EmptyPackageError(
            "the package has no model that could be served",
            evidence=str(package.workspace),
            remedy="optimize(…) first",
        )
    if package.status.config.get("batch_dim") not in (None, 0):
        raise WrongParameterError(
            "the server batches along the first axis alone",
            evidence=f"batch_dim is {package.status.config.get('batch_dim')}",
        )
    best = best_runtime(served(package), strategies_of(strategy, strategies))
    config = config_of(package, best, response_cache=response_cache, warmup=warmup)
    companions = [package.workspace / each for each in best.model_status.files[1:]]
    path = package.get_model_path(best.model_key)
    return add_model(
        model_repository_path,
        model_name,
        path,
        config,
        model_version,
        override=override,
        companions=[each for each in companions if each.suffix != ".json"],
    )


def served(package: Package) -> Candidates:
    """The candidates that Triton can execute, and why it cannot execute the others."""
    found = package.candidates(include_source=True)
    entries, excluded = [], dict(found.excluded)
    for each in found.entries:
        if each.model.model_config.format not in _SERVED:
            excluded[each.key] = f"Triton serves no models of the format {each.model.model_config.format.value}"
        elif each.runner.runner_name in _NOT_SERVED or each.runner.runner_name not in runner_kinds():
            excluded[each.key] = f"Triton has nothing like the runner {each.runner.runner_name}"
        else:
            entries.append(each)
    return Candidates(entries=tuple(entries), excluded=excluded)


def config_of(
    package: Package, best: RuntimeResult, *, response_cache: bool = False, warmup: bool = False
) -> ModelConfig:
    """The configuration of a package's model: tensors without the batch axis, instances where it was measured."""
    status = package.status
    batched = status.config.get("batch_dim") == 0
    kind = runner_kinds()[best.runner_name]
    largest = max((rung.batch_size or 1 for rung in best.runner_status.rungs), default=1)
    served_model = ServedModel(
        inputs=status.input_metadata,
        outputs=status.output_metadata,
        batched=batched,
        largest_batch=largest,
        usual_shapes={name: shapes["opt"] for name, shapes in status.dataloader_trt_profile.items()},
        on_gpu=kind.device is DeviceKind.CUDA,
    )
    made = served_model.config(
        _SERVED[best.model_status.model_config.format], warmup=warmup, response_cache=response_cache
    )
    if isinstance(made, ONNXModelConfig):
        if kind.options.get("provider") == "Tensorrt":
            return replace(made, optimization=TensorRTAccelerator())
        if kind.runtime == "openvino":
            return replace(made, optimization=OpenVINOAccelerator())
    return made


def _publish_version(source: Path, version: Path, config: ModelConfig, companions: Sequence[str | Path]) -> None:
    """Copy the model into a folder beside the version, and rename that; an older version goes only then."""
    try:
        with tempfile.TemporaryDirectory(dir=version.parent, prefix=".adding-") as scratch:
            folder = Path(scratch) / version.name
            folder.mkdir()
            target = folder / config.file_name
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copyfile(source, target)
            for each in {Path(companion) for companion in companions} | set(_external(source)):
                shutil.copyfile(each, _made(folder / _place(each, source)))
            older = Path(scratch) / "older"
            if version.exists():
                version.rename(older)
            try:
                folder.rename(version)
            except OSError:
                if older.exists():
                    older.rename(version)
                raise
    except OSError as error:
        raise DeployerError(
            f"version {version.name} cannot be written", evidence=f"{version}: {error.strerror or error}"
        ) from error


def _place(companion: Path, source: Path) -> Path:
    """Where a companion lies beside the model: external data are looked for in the folder that the model names."""
    directory = source.absolute().parent
    file = companion.absolute()
    return file.relative_to(directory) if file.is_relative_to(directory) else Path(file.name)


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _external(source: Path) -> tuple[Path, ...]:
    """Files without which an ONNX file cannot be read."""
    if source.suffix != ".onnx":
        return ()
    from turnkey.formats.onnx_file import external_files

    return external_files(source)
