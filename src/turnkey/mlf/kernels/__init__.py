"""Kernels of ours for what networks spend their time on: each template claims nodes before the generator is asked."""

from __future__ import annotations

from turnkey.mlf.kernels.claim import Template
from turnkey.mlf.kernels.global_pool import global_pool
from turnkey.mlf.kernels.matmul import matmul

TEMPLATES: tuple[Template, ...] = (global_pool, matmul)
"""In the order in which they are asked."""

__all__ = ["TEMPLATES"]
