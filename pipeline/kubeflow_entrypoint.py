"""Container entry point for open-source Kubeflow Pipelines v2.

Kubeflow's launcher downloads input artifacts to, and uploads outputs from,
/<scheme>/<bucket>/<key>. TFX's own entry point would hand the remote address to
`tf.io.gfile`, which knows no minio://; and some backends leave out artifact types.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

_REMOTE = re.compile(r"^(minio|s3|gs)://(.*)$")
_LOCAL = re.compile(r"^/(minio|s3|gcs)/(.*)$")
_INVOCATION = "--json_serialized_invocation_args"
_INPUTS_SPEC = "--json_serialized_inputs_spec_args"


def to_local(uri: str) -> str:
    """Where the launcher puts an artifact.

    >>> to_local("gs://bucket/run/model")
    '/gcs/bucket/run/model'
    """
    found = _REMOTE.match(uri)
    if not found:
        return uri
    scheme = "gcs" if found[1] == "gs" else found[1]
    return f"/{scheme}/{found[2]}"


def to_remote(uri: str) -> str:
    """The address of an artifact that lies where the launcher looks.

    >>> to_remote("/gcs/bucket/run/model")
    'gs://bucket/run/model'
    """
    found = _LOCAL.match(uri)
    if not found:
        return uri
    scheme = "gs" if found[1] == "gcs" else found[1]
    return f"{scheme}://{found[2]}"


def with_uris(value: Any, change: Callable[[str], str]) -> Any:
    """A copy of nested JSON with every `uri` changed."""
    if isinstance(value, dict):
        return {
            key: change(item) if key == "uri" else with_uris(item, change)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [with_uris(item, change) for item in value]
    return value


def prepare(argv: Sequence[str]) -> tuple[list[str], str]:
    """Arguments as TFX's entry point wants them, and its output file."""
    argv = list(argv)
    place = argv.index(_INVOCATION) + 1
    invocation = with_uris(json.loads(argv[place]), to_local)
    if _INPUTS_SPEC in argv:
        declared = json.loads(argv[argv.index(_INPUTS_SPEC) + 1])["artifacts"]
        given = invocation.get("inputs", {}).get("artifacts", {})
        for name, listed in given.items():
            for artifact in listed["artifacts"]:
                if not artifact.get("type"):
                    artifact["type"] = declared[name]["artifactType"]
    for listed in invocation["outputs"].get("artifacts", {}).values():
        for artifact in listed["artifacts"]:
            os.makedirs(artifact["uri"], exist_ok=True)
    argv[place] = json.dumps(invocation)
    return argv, invocation["outputs"]["outputFile"]


def main() -> None:
    """Runs one executor and gives its outputs their remote addresses back."""
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor as tfx

    argv, output_file = prepare(sys.argv[1:])
    tfx.main(tfx._parse_flags([sys.argv[0], *argv]))
    with open(output_file) as file:
        outputs = with_uris(json.load(file), to_remote)
    with open(output_file, "w") as file:
        json.dump(outputs, file)


if __name__ == "__main__":
    main()
