from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from claimpt_tf.serving.client import Client

TEXT = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
CURL_LINES = re.findall(r"```sh\n(curl .*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("line", CURL_LINES)
def test_the_documentation_s_curl_lines(server: Any, line: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed on this machine")
    command = line.replace("http://127.0.0.1:8501", server.url)
    command = command.replace("curl ", "curl -sS --fail-with-body --noproxy '*' ", 1)
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    scores = answer.get("predictions", answer.get("outputs"))
    if "predict" in line.split("/")[-1]:
        assert len(scores) == 1 and 0 <= scores[0] <= 1


def test_the_documentation_s_member(server: Any) -> None:
    (member,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    (risk,) = Client(server.url).predict([json.loads(member)])
    assert 0 <= risk <= 1
