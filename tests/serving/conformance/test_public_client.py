"""A client that nobody here wrote: min-tfs-client from PyPI.

Its wheel holds protocol buffers of its own under the name `tensorflow`, and would
overwrite the real one's; so it is no dependency, but lives in a folder of its own:

    pip install --target DIR --no-deps min-tfs-client
    CLAIMPT_TFS_CLIENT=DIR .venv/bin/python -m pytest tests/serving/conformance
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests as http

from claimpt_tf.serving import protos

_ASK = """
import pickle, sys
sys.path.insert(0, sys.argv[1])
from min_tfs_client.requests import TensorServingClient
from min_tfs_client.tensors import tensor_proto_to_ndarray
host, port, model = sys.argv[2].rsplit(":", 1) + [sys.argv[3]]
inputs = pickle.load(open(sys.argv[4], "rb"))
client = TensorServingClient(host=host, port=int(port), credentials=None)
answer = client.predict_request(model_name=model, input_dict=inputs)
print(tensor_proto_to_ndarray(answer.outputs["probability"]).tolist())
"""


def test_min_tfs_client(endpoint: Any, tmp_path: Path) -> None:
    folder = os.environ.get("CLAIMPT_TFS_CLIENT")
    if not folder:
        pytest.skip("CLAIMPT_TFS_CLIENT names no folder with min-tfs-client")
    # It sends text only: records without a byte above 127.
    girl = protos.Example()
    girl.features.feature["sex"].bytes_list.value.append(b"F")
    girl.features.feature["birth_days"].int64_list.value.append(100)
    records = ["", girl.SerializeToString().decode("ascii")]
    inputs = tmp_path / "inputs"
    inputs.write_bytes(pickle.dumps({"examples": np.array(records)}))
    done = subprocess.run(
        [sys.executable, "-c", _ASK, folder, endpoint.grpc_address, endpoint.model,
         str(inputs)],
        capture_output=True, text=True, timeout=120,
        env={**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    encoded = [{"b64": base64.b64encode(one.encode()).decode()} for one in records]
    body = {"instances": encoded}
    wanted = http.post(f"{endpoint.root}:predict", json=body, timeout=30)
    np.testing.assert_allclose(
        json.loads(done.stdout), wanted.json()["predictions"], atol=1e-5
    )
