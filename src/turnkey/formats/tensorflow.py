"""Formats ``tf-savedmodel`` and ``onnx-tensorflow``: a live function of TensorFlow, stored, and on its way to ONNX.

The function is traced by ``tf.function`` with a free batch axis and saved; tf2onnx translates the saved model in a
process of its own, since it wants other versions of numpy and protobuf loaded than the rest.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from turnkey.errors import ConversionError
from turnkey.formats.failure_text import evidence_of
from turnkey.formats.finished_file import finished_directory, finished_file
from turnkey.formats.format import Conversion, ConvertRequest, NoSettings
from turnkey.formats.live_source import live_function
from turnkey.settings import onnx_opset, timeout_seconds

_HIGHEST_OPSET = 18
"""What tf2onnx writes at most."""


class SavedModel:
    """A live function as a SavedModel: a directory, of which ``saved_model.pb`` is the file."""

    name = "tf-savedmodel"
    stored_as = "tf-savedmodel"
    converts_from = ("python",)
    suffix = ".savedmodel"
    requires = ("tensorflow",)
    install = "pip install 'turnkey[tensorflow]'"
    settings_type = NoSettings

    def convert(self, request: ConvertRequest) -> Conversion:
        """Write ``request.source`` into the directory ``request.path``.

        Raises:
            ConversionError: there is no live function, or TensorFlow cannot trace it.
        """
        function, structure, sample = live_function(request)
        import tensorflow as tf

        specs = {
            name: tf.TensorSpec([None, *array.shape[1:]], array.dtype, name=name) for name, array in sample.items()
        }
        module = tf.Module()
        try:
            module.call = tf.function(lambda **named: _called(function, structure, named))
            concrete = module.call.get_concrete_function(**specs)
            module.captured = list(concrete.variables)  # only what hangs on the module is saved
            with finished_directory(request.path) as unfinished:
                tf.saved_model.save(module, str(unfinished), signatures=concrete)
        except Exception as error:
            raise ConversionError(
                "TensorFlow cannot trace the function",
                evidence=evidence_of(error),
                remedy="write it with TensorFlow's own operations",
            ) from error
        files = tuple(path for path in sorted(request.path.rglob("*")) if path.is_file())
        graph = request.path / "saved_model.pb"
        return Conversion(path=graph, exporter="tensorflow", companions=tuple(path for path in files if path != graph))


def _called(function: Any, structure: Any, named: dict[str, Any]) -> dict[str, Any]:
    """One call by names; a single result is called ``output``, as everywhere."""
    args, kwargs = structure.bind(named)
    result = function(*args, **kwargs)
    if isinstance(result, dict):
        return result
    if isinstance(result, (list, tuple)):
        return {f"output.{index}": value for index, value in enumerate(result)}
    return {"output": result}


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorFlowSettings:
    """``opset`` of the ONNX file; 0 takes the usual one, as far as tf2onnx goes."""

    opset: int = 0


class OnnxOfTensorFlow:
    """A SavedModel as an ONNX file."""

    name = "onnx-tensorflow"
    stored_as = "onnx"
    converts_from = ("tf-savedmodel",)
    suffix = ".onnx"
    requires = ("tensorflow", "tf2onnx", "onnx")
    install = "pip install 'turnkey[tensorflow]'"
    settings_type = TensorFlowSettings

    def convert(self, request: ConvertRequest) -> Conversion:
        """Translate ``request.parent``; settings are `TensorFlowSettings`.

        Raises:
            ConversionError: there is no SavedModel, or tf2onnx fails.
            InputError: what it wrote is no valid ONNX file.
        """
        from turnkey.formats.onnx_file import check_file

        if request.parent is None:
            raise ConversionError("there is no SavedModel to translate", remedy="convert --to tf-savedmodel")
        opset = request.settings.opset or min(onnx_opset(), _HIGHEST_OPSET)
        command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", str(request.parent.parent)]
        with finished_file(request.path) as unfinished:
            command += ["--opset", str(opset), "--output", str(unfinished)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_seconds())
            print(done.stdout + done.stderr)
            if done.returncode:
                raise ConversionError(
                    "tf2onnx cannot translate the SavedModel",
                    evidence="\n".join(done.stderr.strip().splitlines()[-5:]),
                    remedy=f"python -m tf2onnx.convert --saved-model {request.parent.parent} --output m.onnx",
                )
            check_file(unfinished)
        return Conversion(path=request.path, exporter="tf2onnx", facts={"opset": opset})


SAVED_MODEL = SavedModel()
ONNX = OnnxOfTensorFlow()
