"""All templates, in the order in which they are asked for a node."""

from __future__ import annotations

from turnkey.mlf.kernels.claim import Template
from turnkey.mlf.kernels.convolution import convolution
from turnkey.mlf.kernels.elementwise import elementwise
from turnkey.mlf.kernels.global_pool import global_pool
from turnkey.mlf.kernels.matmul import matmul
from turnkey.mlf.kernels.quantized import QUANTIZED
from turnkey.mlf.kernels.recurrent import recurrent
from turnkey.mlf.kernels.rows import layer_normalization, reduction, softmax
from turnkey.mlf.kernels.sliding import depthwise, pool
from turnkey.mlf.kernels.transpose import transpose

TEMPLATES: tuple[Template, ...] = (
    *QUANTIZED,
    depthwise,
    convolution,
    pool,
    global_pool,
    matmul,
    recurrent,
    softmax,
    layer_normalization,
    reduction,
    transpose,
    elementwise,
)
