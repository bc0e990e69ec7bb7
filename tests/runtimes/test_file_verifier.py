"""One file against its source model, where what executes it is a plug-in of somebody else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from source_models import CALL_OF_X, samples_of_x, source_model

from turnkey.model.signature import Signature
from turnkey.runtimes.file_verifier import FileVerifier
from turnkey.runtimes.reference import Reference
from turnkey.verify import Tolerances, VerificationVerdict


class TupleRunner:
    """Takes a tuple of outputs for the one tensor in it, as its author might."""

    def prepare(self, sample):
        return sample

    def run(self, feed):
        return (feed["x"],)

    def outputs(self, result):
        return {"output": result.numpy()}


def test_what_a_plug_ins_runner_raises_is_in_the_log_with_file_and_line(tmp_path, capsys):
    reference = Reference(
        source_model(torch.nn.ReLU(), samples_of_x(np.ones((2, 3), np.float32), structure=CALL_OF_X))
    )
    samples = reference.with_outputs(reference.source.samples)
    verifier = FileVerifier(
        reference,
        TupleRunner(),
        path=tmp_path / "model.bin",
        exported=None,
        signature=Signature(inputs=()),
        tolerances=Tolerances(),
        shows_values=False,
    )
    [found] = verifier.verify(samples, ())
    assert found.verdict is VerificationVerdict.INVALID
    assert found.reason == "it does not run: AttributeError: 'tuple' object has no attribute 'numpy'"
    logged = capsys.readouterr().out
    line = next(
        number for number, text in enumerate(Path(__file__).read_text().splitlines(), 1) if ".numpy()}" in text
    )
    assert f'File "{__file__}", line {line}, in outputs' in logged
