"""``nav.torch.optimize``: see `turnkey.navigator.frameworks`."""

from __future__ import annotations

from turnkey.navigator.frameworks import TORCH

optimize = TORCH.optimize
