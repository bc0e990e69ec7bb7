"""Templates for quantised networks: sums of 32 bits over bytes, tables, and the borders to floats."""

from __future__ import annotations

from turnkey.mlf.kernels.claim import Template
from turnkey.mlf.kernels.quantized_border import quantized_border
from turnkey.mlf.kernels.quantized_elementwise import quantized_pair, quantized_table
from turnkey.mlf.kernels.quantized_movement import quantized_move
from turnkey.mlf.kernels.quantized_pool import quantized_pool
from turnkey.mlf.kernels.quantized_product import quantized_product

QUANTIZED: tuple[Template, ...] = (
    quantized_product,
    quantized_pair,
    quantized_pool,
    quantized_table,
    quantized_move,
    quantized_border,
)
"""In the order in which they are asked: a border is what no group has taken."""
