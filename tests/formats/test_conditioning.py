"""Whether a difference is only rounding: decided by the module in float64."""

from __future__ import annotations

import numpy as np
import torch
from sources import source_of

from turnkey.formats.conditioning import excused_as_rounding
from turnkey.formats.torch_call import call_of, outputs_of
from turnkey.verify import Comparison, VerificationVerdict, compare


def judged(module, other) -> tuple[Comparison, Comparison]:
    """The comparison of a module with what stands for a file made of it, and the comparison to believe."""
    torch.manual_seed(0)
    source = source_of(module.eval(), torch.randn(8, 16))
    structure, sample = source.samples.structure, source.samples.inputs[0]
    reference, actual = (outputs_of(call_of(each, structure, sample), sample) for each in (module, other.eval()))
    plain = compare(reference, actual)
    return plain, excused_as_rounding(plain, module, structure, sample, reference=reference, actual=actual)


class Reordered(torch.nn.Module):
    """What a right file computes: the same maps, with their operations in another order."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x):
        x = torch.sigmoid(x)
        for _ in range(self.steps):
            x = 3.99 * x - 3.99 * (x * x)
        return x


def test_rounding_that_the_module_makes_large_is_excused_and_said(chaotic):
    plain, believed = judged(chaotic(15), Reordered(15))
    assert plain.verdict is VerificationVerdict.INVALID
    assert believed.verdict is VerificationVerdict.VALID
    assert believed.outputs[0].reason.startswith("output 'output' is ill-conditioned: the model in float32 is ")


def test_outputs_that_are_noise_in_float32_excuse_nothing(chaotic):
    plain, believed = judged(chaotic(40), Reordered(40))
    assert believed is plain


def test_a_wrong_operator_is_not_excused(chaotic):
    module, wrong = chaotic(12), chaotic(12)
    wrong.act = torch.nn.Hardsigmoid()
    plain, believed = judged(module, wrong)
    assert believed is plain


def test_a_module_that_runs_in_float32_alone_excuses_nothing(capsys):
    class Narrow(torch.nn.Module):
        def forward(self, x):
            return x @ torch.ones(16, 4)

    class Off(torch.nn.Module):
        def forward(self, x):
            return x @ torch.ones(16, 4) + 1e-3

    plain, believed = judged(Narrow(), Off())
    assert believed is plain
    assert "the model does not run in float64: RuntimeError" in capsys.readouterr().out


def test_a_missing_output_is_no_matter_of_rounding(chaotic):
    module = chaotic(3)
    source = source_of(module, torch.randn(2, 4))
    sample = source.samples.inputs[0]
    reference = outputs_of(call_of(module, source.samples.structure, sample), sample)
    plain = compare(reference, {"output": np.zeros((3, 3), np.float32)})
    believed = excused_as_rounding(
        plain, module, source.samples.structure, sample, reference=reference, actual={"output": np.zeros((3, 3))}
    )
    assert believed is plain
