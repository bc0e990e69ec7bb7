"""A metric of the user's."""

from __future__ import annotations

import numpy as np
import pytest

from turnkey.errors import InputError, ModelError
from turnkey.tools.metric import load_metric, parse_metric

OUTPUTS = [{"y": np.array([1.0])}]


@pytest.fixture
def metric(tmp_path):
    def make(body):
        path = tmp_path / "metric.py"
        path.write_text(f"def score(outputs, references):\n    {body}\n")
        return load_metric(f"{path}:score")

    return make


def test_it_is_called_with_outputs_and_references_and_a_verdict_is_a_number(metric):
    assert (
        metric("return 10 * outputs[0]['y'][0] + references[0]['y'][0]").value(OUTPUTS, [{"y": np.array([3.0])}]) == 13
    )
    assert metric("return True").value(OUTPUTS, OUTPUTS) == 1


@pytest.mark.parametrize("body", ["raise ValueError('broken')", "return float('nan')", "return 'good'"])
def test_what_is_no_number_is_an_error_that_names_the_function(metric, body):
    with pytest.raises(ModelError, match="score"):
        metric(body).value(OUTPUTS, OUTPUTS)


def test_a_missing_script_or_function_is_refused_with_what_there_is(tmp_path, metric):
    metric("return 1")
    with pytest.raises(InputError, match="no function") as caught:
        load_metric(f"{tmp_path / 'metric.py'}:other")
    assert "score" in caught.value.evidence
    with pytest.raises(InputError, match="no script"):
        load_metric(f"{tmp_path / 'nowhere.py'}:score")
    (tmp_path / "bad.py").write_text("import nothing_like_this")
    with pytest.raises(InputError, match="fails"):
        load_metric(f"{tmp_path / 'bad.py'}:score")


@pytest.mark.parametrize("text", ["metric.py", "metric:score", "metric.py:not a name"])
def test_a_metric_that_is_not_written_so_is_refused(text):
    with pytest.raises(ValueError, match=r"script\.py:function"):
        parse_metric(text)
