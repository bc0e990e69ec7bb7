"""``nav.tensorflow.optimize``: see `turnkey.navigator.frameworks`."""

from __future__ import annotations

from turnkey.navigator.frameworks import TENSORFLOW

optimize = TENSORFLOW.optimize
