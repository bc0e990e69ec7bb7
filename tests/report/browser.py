"""A real Chromium without a window, driven over its debugging pipe: what a page logs, asks for and shows.

No driver package is needed: commands and events are JSON texts between zero bytes, on descriptors 3 and 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_WAIT_S = 120.0
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run", "--disable-dev-shm-usage", "--remote-debugging-pipe"),
)


@dataclass
class Page:
    """One open page.

    Attributes:
        problems: console errors and warnings, exceptions, violations of the page's policy, dialogs.
        requests: addresses that it asked for, itself included.
    """

    browser: Browser
    session: str
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.browser.call(
            "Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True}, self.session
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def screenshot(self, path: Path) -> None:
        answer = self.browser.call("Page.captureScreenshot", {"format": "png"}, self.session)
        path.write_bytes(base64.b64decode(answer["data"]))


class Browser:
    """A running browser with a profile of its own."""

    def __init__(self, process: subprocess.Popen[bytes], commands: int, replies: int) -> None:
        self._process = process
        self._commands = commands
        self._replies = replies
        self._buffer = b""
        self._number = 0
        self._pages: dict[str, Page] = {}

    def open(self, path: Path, *, width: int = 1280, height: int = 900, dark: bool = False, media: str = "") -> Page:
        """Open a file and wait until it is loaded and has run its script."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = self._pages[session] = Page(browser=self, session=session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable", {}, session)
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", metrics, session)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]}, session)
        self.call("Page.navigate", {"url": path.as_uri()}, session)
        while page.evaluate("document.readyState") != "complete":
            time.sleep(0.05)
        return page

    def call(self, method: str, parameters: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        text = json.dumps(message | ({"sessionId": session} if session else {}))
        os.write(self._commands, text.encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._replies], [], [], _WAIT_S)
            assert ready, "the browser does not answer"
            received = os.read(self._replies, 1 << 20)
            assert received, "the browser has ended"
            self._buffer += received
        text, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(text)
        return found

    def _note(self, event: dict[str, Any]) -> None:
        page = self._pages.get(event.get("sessionId", ""))
        if page is None:
            return
        method, fields = event["method"], event.get("params", {})
        if method == "Network.requestWillBeSent":
            page.requests.append(fields["request"]["url"])
        elif method == "Runtime.exceptionThrown" or method == "Page.javascriptDialogOpening":
            page.problems.append(f"{method}: {fields}")
        elif method == "Runtime.consoleAPICalled" and fields["type"] in ("error", "warning", "assert"):
            page.problems.append(f"console: {fields['args']}")
        elif method == "Log.entryAdded" and fields["entry"]["level"] in ("error", "warning"):
            page.problems.append(f"log: {fields['entry']['text']}")


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser as long as the context lasts; it and its children are ended."""
    theirs, commands = os.pipe()
    replies, theirs_too = os.pipe()
    process = subprocess.Popen(
        [
            "bash",
            "-c",
            f'exec "$@" 3<&{theirs} 4>&{theirs_too}',
            "bash",
            "chromium",
            *_FLAGS,
            f"--user-data-dir={profile}",
        ],
        pass_fds=(theirs, theirs_too),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    os.close(theirs)
    os.close(theirs_too)
    try:
        yield Browser(process, commands, replies)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(commands)
        os.close(replies)
