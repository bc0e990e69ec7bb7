"""What is quoted of the log of a tool that died."""

from __future__ import annotations

from pathlib import Path

import turnkey
from turnkey.launch.last_words import last_words

OURS = Path(turnkey.__file__).parent / "launch" / "worker.py"

LOG = f"""\
Discovering models in the script
printed by the script
Traceback (most recent call last):
  File "{OURS}", line 12, in _work
    result = run_item(item, listen=tell)
             ^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/home/me/model.py", line 3, in forward
    return x / 0
           ~~^~~
  File "<frozen runpy>", line 88, in _run_code
  File "{OURS}", line 20, in _tell
    rest = rest[os.write(messages, rest) :]
OSError: [Errno 9] Bad file descriptor

Current thread 0x00007f (most recent call first):
  File "/home/me/model.py", line 7 in hang
  File "{OURS}", line 12 in _work
Extension modules: numpy.core, torch._C
"""


def test_our_own_frames_and_their_code_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text(LOG)

    assert last_words(tmp_path / "log.txt").splitlines() == [
        "Discovering models in the script",
        "printed by the script",
        "Traceback (most recent call last):",
        '  File "/home/me/model.py", line 3, in forward',
        "    return x / 0",
        "           ~~^~~",
        "OSError: [Errno 9] Bad file descriptor",
        "Current thread 0x00007f (most recent call first):",
        '  File "/home/me/model.py", line 7 in hang',
    ]
    assert last_words(tmp_path / "log.txt", lines=1) == '  File "/home/me/model.py", line 7 in hang'
    assert last_words(tmp_path / "none.txt") == ""
