"""Where output goes while a tool works: all of it to the log, none of ours or anybody's earlier output with it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import pytest

from turnkey.errors import InputError
from turnkey.pipeline.capture import captured, log_tail


def in_fresh_process(program: str, log: Path, **streams: object) -> subprocess.CompletedProcess[str]:
    """A process whose C library buffers its output, as outside of tests."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    text = "import ctypes, os, sys\nfrom pathlib import Path\nfrom turnkey.pipeline.capture import captured\n"
    return subprocess.run(
        [sys.executable, "-c", text + textwrap.dedent(program), str(log)],
        env=environment,
        text=True,
        check=True,
        **{"capture_output": True, **streams},  # type: ignore[call-overload]
    )


def test_buffers_of_python_and_c_are_flushed_on_their_own_side_of_the_border(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    finished = in_fresh_process(
        """
        c = ctypes.CDLL(None)
        c.printf(b"c before, ")
        sys.stdout.write("python before, ")
        with captured(Path(sys.argv[1]), first_line="first"):
            c.printf(b"c inside, ")
            sys.stdout.write("python inside, ")
        c.printf(b"c after, ")
        sys.stdout.write("python after, ")
        """,
        log,
    )
    assert sorted(log.read_text().replace("first\n", "").strip(", ").split(", ")) == ["c inside", "python inside"]
    assert sorted(finished.stdout.strip(", ").split(", ")) == sorted(
        ["c before", "python before", "c after", "python after"]
    )


def test_closed_standard_streams_stay_closed(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    in_fresh_process(
        """
        for descriptor in (0, 1, 2):
            os.close(descriptor)
        with captured(Path(sys.argv[1]), first_line="first"):
            os.system("echo inside")
        for descriptor in (0, 1, 2):
            try:
                os.fstat(descriptor)
            except OSError:
                continue
            os._exit(3)
        os._exit(0)
        """,
        log,
    )
    assert log.read_text() == "first\ninside\n"


def test_a_replaced_stream_gets_nothing_meanwhile_and_is_back_afterwards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = sys.stdout
    with suppress(ZeroDivisionError), captured(tmp_path / "log.txt", first_line="first"):
        print("inside")
        print("ü \udcff")
        print(1 / 0)

    assert sys.stdout is stream
    print("after")
    assert capsys.readouterr().out == "after\n"
    assert (tmp_path / "log.txt").read_text() == "first\ninside\nü \\udcff\n"


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for echo in (False, True):
        with captured(tmp_path / "log.txt", first_line="first", echo=echo):
            print("inside")
    assert len(os.listdir("/proc/self/fd")) == before


def test_nothing_is_echoed_before_the_end_where_that_is_asked(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    terminal = os.dup(2)
    before = os.fstat(terminal).st_size
    with captured(tmp_path / "log.txt", first_line="first", echo=True, quiet_until_end=True):
        print("inside", flush=True)
        time.sleep(0.3)
        assert os.fstat(terminal).st_size == before
    os.close(terminal)
    assert capfd.readouterr().err == "first\ninside\n"


def test_a_log_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "log.txt").symlink_to(tmp_path / "precious")

    with pytest.raises(InputError, match=r"cannot write log\.txt"), captured(tmp_path / "log.txt", first_line="x"):
        pass
    assert (tmp_path / "precious").read_text() == "precious"


def test_the_tail_of_a_long_log_is_bounded(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(b"".join(b"line %d \xff\n" % number for number in range(100_000)))

    lines = log_tail(log, lines=3).splitlines()

    assert [line.split()[1] for line in lines] == ["99997", "99998", "99999"]
    assert log_tail(tmp_path / "absent.txt") == ""
