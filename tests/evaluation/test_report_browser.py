"""The page in headless Chromium: no complaint, no request, fits a phone."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from websockets.sync.client import ClientConnection, connect

from claimpt_tf.evaluation.compare import compare
from claimpt_tf.evaluation.examples import Example
from claimpt_tf.evaluation.report import write_report
from claimpt_tf.evaluation.story import Story
from claimpt_tf.tasks.spec import load_task

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)
STUDY = pl.DataFrame(
    {
        "model": ["net", "net", "counts", "counts"],
        "balanced": [False] * 4,
        "shots": [16, None] * 2,
        "members": [16.0, 400.0] * 2,
        "events": [3.0, 80.0] * 2,
        "metric": ["auroc"] * 4,
        "value": [0.7, 0.8, 0.6, 0.78],
        "low": [0.6, 0.75, 0.5, 0.7],
        "high": [0.75, 0.85, 0.68, 0.83],
    }
)
PNG = b"\x89PNG"


class Browser:
    """One tab, driven by the DevTools protocol."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = itertools.count(1)
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._number)
        self._socket.send(json.dumps(dict(id=number, method=method, params=params)))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)

    def show(self, page: Path, width: int, scheme: str) -> None:
        """Opens a page and waits until it and whatever it asks for has loaded."""
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])
        self.call("Page.navigate", url=page.as_uri())
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(json.loads(self._socket.recv(timeout=60)))

    def complaints(self) -> list[dict[str, Any]]:
        told = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        return [event for event in self.events if event.get("method") in told]

    def requests(self) -> list[str]:
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    def value(self, expression: str) -> Any:
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return found["result"]["value"]

    def screenshot(self) -> bytes:
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(found["data"])


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    command = shutil.which("chromium") or shutil.which("chromium-browser")
    if command is None:
        pytest.skip("Chromium is not installed: `apt-get install chromium`")
    profile = tmp_path_factory.mktemp("profile")
    process = subprocess.Popen(
        [command, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with connect(_address_of_tab(profile), max_size=None) as socket:
            yield Browser(socket)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)


def _address_of_tab(profile: Path) -> str:
    """Opens a tab over the browser's own socket and returns the tab's."""
    port_file = profile / "DevToolsActivePort"
    deadline = time.monotonic() + 60
    while not port_file.exists() or "\n" not in port_file.read_text():
        assert time.monotonic() < deadline, "Chromium did not start within a minute"
        time.sleep(0.1)
    port, path = port_file.read_text().splitlines()
    with connect(f"ws://127.0.0.1:{port}{path}") as socket:
        wanted = {"url": "about:blank"}
        socket.send(
            json.dumps({"id": 1, "method": "Target.createTarget", "params": wanted})
        )
        answer = json.loads(socket.recv(timeout=60))
    return f"ws://127.0.0.1:{port}/devtools/page/{answer['result']['targetId']}"


@pytest.fixture(scope="module")
def report(make_labelled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = make_labelled(400, seed=1)
    risk = frame["risk"].to_numpy()
    scores = {"a model of a rather long name": risk, "prevalence": np.full(400, 0.2)}
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(
        path,
        compare(scores, frame, 50),
        scores,
        frame,
        Story(
            load_task("self_harm"),
            source="tuva",
            simulated=True,
            examples=[Example("The highest risk", 0.4, 0.1, [("J45901", 0.25)])],
            learning=STUDY,
        ),
    )
    return path


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_shows_without_complaint(
    browser: Browser, report: Path, width: int, scheme: str
) -> None:
    browser.show(report, width, scheme)
    assert browser.complaints() == []
    assert set(browser.requests()) <= {report.as_uri(), "data:,"}
    assert browser.value("document.querySelectorAll('figure svg').length") == 7
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("matchMedia('(prefers-color-scheme: dark)').matches") == (
        scheme == "dark"
    )
    shot = browser.screenshot()
    assert shot.startswith(PNG)
    assert len(shot) > 50_000


@pytest.mark.slow
def test_plots_follow_the_scheme(browser: Browser, report: Path) -> None:
    colours = []
    for scheme in ("light", "dark"):
        browser.show(report, 1200, scheme)
        colours.append(
            browser.value("getComputedStyle(document.querySelector('svg text')).fill")
        )
    assert colours == ["rgb(29, 34, 38)", "rgb(232, 234, 234)"]


@pytest.mark.slow
def test_a_complaint_and_a_request_would_be_seen(
    browser: Browser, tmp_path: Path
) -> None:
    page = tmp_path / "broken.html"
    page.write_text(
        "<!doctype html><script src='missing.js'></script><script>x()</script>"
    )
    browser.show(page, 1200, "light")
    assert len(browser.complaints()) >= 2
    assert (tmp_path / "missing.js").as_uri() in browser.requests()
