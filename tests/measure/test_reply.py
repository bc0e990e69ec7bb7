"""What is believed of a worker's reply: whatever it claims, it must be possible."""

from __future__ import annotations

import json

import pytest

from turnkey.measure import reply
from turnkey.measure.crew import WorkerLost

SECOND = 1_000_000_000


def test_an_honest_reply_is_taken() -> None:
    told = reply.content(b'{"ok": {"t0": 1, "settle": 9, "ns": [1, 2, 3], "cpu": 5, "device": {"device": [0, 1, 2]}}}')
    report = reply.slice_report(told, entries=3, elapsed_ns=15)
    assert (report.settle, report.ns, report.cpu) == (9, (1, 2, 3), 5)
    done = reply.warm_up({"ns": [4, 5], "n_warm": 1, "settled": True}, elapsed_ns=9)
    assert (done.ns, done.n_warm) == ((4, 5), 1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"ok": {"t0": 1, "settle": 1, "ns": [1, 1]}}', "4 positive whole ones"),
        (b'{"ok": {"t0": 1, "settle": 1, "ns": [5, -5, 1]}}', "positive whole ones"),
        (b'{"ok": {"t0": 1, "settle": 1, "ns": [1.5, 2, 3]}}', "positive whole ones"),
        (b'{"ok": {"t0": 1, "settle": 1, "ns": [1, true, 3]}}', "positive whole ones"),
        (b'{"ok": {"t0": 1, "settle": 1, "ns": [1, 2, 900000000000]}}', "within"),
        (b'{"ok": {"t0": 1, "settle": 1, "ns": [NaN, 1, 1]}}', "NaN"),
        (b'{"ok": {"t0": 1, "settle": 1, "ns": [1, 1, 1], "more": 2}}', "unexpected keyword"),
        (b'{"ok": {"t0": 1, "settle": 1, "ns": [1, 1, 1], "device": {"device": [1]}}}', "on the device for 3 calls"),
        (b'{"ok": {"t0": 1, "settle": 1, "ns": [1, 1, 1], "device": 7}}', "on the device: 7"),
        (b'{"ok": {"settle": 1, "ns": [1, 1, 1]}}', "t0"),
        (b'{"ok": 7}', "not a mapping"),
        (b"[1, 2]", "reply"),
        (b"{}", "reply"),
        (b"\xff\xfe", "reply"),
    ],
)
def test_a_reply_that_cannot_be_true_is_garbled_whatever_it_claims(line: bytes, said: str) -> None:
    with pytest.raises(WorkerLost) as caught:
        reply.slice_report(reply.content(line), entries=3, elapsed_ns=SECOND)
    assert caught.value.cause == "garbled"
    assert not caught.value.final
    assert said in caught.value.error.evidence


def test_a_warm_up_without_a_call_and_a_load_report_with_other_fields_are_garbled() -> None:
    with pytest.raises(WorkerLost) as caught:
        reply.warm_up({"ns": [], "n_warm": 0, "settled": True}, elapsed_ns=SECOND)
    assert "0 durations" in caught.value.error.evidence
    with pytest.raises(WorkerLost, match="no sense"):
        reply.load_report({})


def test_what_a_target_raised_is_told_and_a_mistake_of_the_user_is_not_tried_again() -> None:
    raised = {"type": "missing dependency", "what": "openfoo is not installed", "remedy": "pip install openfoo"}
    for ours in (False, True):
        with pytest.raises(WorkerLost, match="openfoo is not installed") as caught:
            reply.content(json.dumps({"error": raised, "ours": ours}).encode())
        assert (caught.value.cause, caught.value.final) == ("raised", ours)
        assert caught.value.error.remedy == "pip install openfoo"
