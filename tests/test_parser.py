import subprocess
import sys
from pathlib import Path

import pytest

from turnkey.errors import UsageError
from turnkey.parser import PARAMETERS, parse

DEFAULTS = {
    "batch_size": 1,
    "max_seq_length": 128,
    "max_audio_seq_length": 25600,
    "height": 224,
    "width": 224,
    "num_channels": 3,
    "k": 2,
    "alpha": 2.2,
    "out_channels": 1500,
    "num_layers": 8,
    "in_channels": 1433,
    "pretrained": False,
    "model_path": None,
    "kvcache": False,
}
VALUES = {int: ("7", 7), float: ("0.5", 0.5), str: ("a b", "a b"), bool: ("true", True)}


def test_the_documented_arguments_have_the_documented_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["script.py"])
    assert dict(zip(DEFAULTS, parse(DEFAULTS), strict=True)) == DEFAULTS
    assert parse(["alpha", "batch_size"]) == (2.2, 1)


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("form", ["--{}={}", "--{} {}"])
def test_each_argument_is_read_in_both_forms(monkeypatch: pytest.MonkeyPatch, name: str, form: str) -> None:
    text, value = VALUES[PARAMETERS[name].kind]
    words = form.format(name, "\0").split(" ")
    monkeypatch.setattr(sys, "argv", ["script.py", *(word.replace("\0", text) for word in words)])
    assert parse([name]) == value


def test_a_switch_needs_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["script.py", "--pretrained", "--kvcache", "false"])
    assert parse(["pretrained", "kvcache"]) == (True, False)


def test_arguments_of_other_scripts_are_named_and_ignored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["script.py", "--height", "32", "--batch_size", "2"])
    assert parse(["batch_size"]) == 2
    assert "--height 32" in capsys.readouterr().err


def test_an_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="colour") as caught:
        parse(["colour"])
    assert "batch_size" in str(caught.value)


def test_each_argument_reaches_a_script_through_script_args(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text("from turnkey.parser import PARAMETERS, parse\nprint(parse(PARAMETERS))\n")
    text = " ".join(f"--{name}={VALUES[p.kind][0].replace(' ', '_')}" for name, p in PARAMETERS.items())
    command = [
        sys.executable,
        "-c",
        "import sys, turnkey; turnkey.discover(sys.argv[1], sys.argv[2])",
        str(path),
        text,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    expected = tuple(VALUES[p.kind][1] if p.kind is not str else "a_b" for p in PARAMETERS.values())
    assert done.stdout.strip() == str(expected)
