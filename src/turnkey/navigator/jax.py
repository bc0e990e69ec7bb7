"""``nav.jax.optimize``: see `turnkey.navigator.frameworks`."""

from __future__ import annotations

from turnkey.navigator.frameworks import JAX

optimize = JAX.optimize
