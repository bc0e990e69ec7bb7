"""``nav.onnx.optimize``: see `turnkey.navigator.frameworks`."""

from __future__ import annotations

from turnkey.navigator.frameworks import ONNX

optimize = ONNX.optimize
