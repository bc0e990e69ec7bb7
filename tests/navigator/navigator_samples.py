"""A small model and its samples."""

from __future__ import annotations

import numpy as np

import turnkey.navigator as nav

TEXT = '<ir_version: 8, opset_import: ["": 17]> g (float[N,4] x) => (float[N,4] y) { y = Exp (x) }'
SMALL = nav.ProfilerConfig(batch_sizes=[1], measurement_request_count=5, stability_percentage=1000.0)
"""One rung of few calls; these tests are about packages, not about noise."""


def samples(count: int = 3, batch: int = 2) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.standard_normal((batch, 4)).astype(np.float32) for _ in range(count)]
