"""``nav.python.optimize``: see `turnkey.navigator.frameworks`."""

from __future__ import annotations

from turnkey.navigator.frameworks import PYTHON

optimize = PYTHON.optimize
