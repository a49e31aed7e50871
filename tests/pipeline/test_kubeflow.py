"""The compiled spec against Kubeflow's own protos."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pipeline.kubeflow_entrypoint import prepare
from pipeline.kubeflow_runner import compile_pipeline
from tests.pipeline.conftest import small_config

TASKS = ("asthma_exacerbation", "self_harm")


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [TASKS[:1], TASKS], ids=["one task", "two tasks"])
def test_compiled_spec_parses_with_kfp(tasks: tuple[str, ...], tmp_path: Path) -> None:
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    path = compile_pipeline(
        small_config(Path("/claims"), tasks, true_risk=""),
        str(tmp_path / "claimpt.yaml"),
        "registry.example/claimpt_tf:0.1.0",
        "gs://bucket/runs",
        "gs://bucket/models",
    )
    content = yaml.safe_load(Path(path).read_text())
    spec = json_format.ParseDict(content, pipeline_spec_pb2.PipelineSpec())
    assert spec.schema_version == "2.1.0"
    assert len(spec.root.dag.tasks) == 6 + 9 * len(tasks)
    # Argo's names of a workflow's nodes.
    assert all(re.fullmatch("[A-Za-z0-9-]+", name) for name in spec.root.dag.tasks)
    pushed = {
        parameters["base_directory"]
        for parameters in pushers(content["root"]["dag"]["tasks"])
    }
    executors = content["deploymentSpec"]["executors"]
    assert not [one for one in executors.values() if "resolver" in one]
    for name, node in content["root"]["dag"]["tasks"].items():
        kind = name.partition("-")[0]
        assert node["cachingOptions"].get("enableCache", False) != (
            kind == "LastServed"
        )
        if kind == "Evaluator":
            baseline = node["inputs"]["artifacts"]["baseline_model"]
            last = baseline["taskOutputArtifact"]["producerTask"]
            assert last == name.replace("Evaluator", "LastServed")
            looks = content["root"]["dag"]["tasks"][last]["inputs"]["parameters"]
            place = looks["served_at"]["runtimeValue"]["constant"]
            assert place.startswith("gs://bucket/models/claimpt")
    served = [f"claimpt_{name}" for name in tasks] if len(tasks) > 1 else ["claimpt"]
    assert pushed == {f"gs://bucket/models/{name}" for name in served}
    deployment = json_format.ParseDict(
        content["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig()
    )
    commands = {tuple(e.container.command) for e in deployment.executors.values()}
    assert ("python", "-m", "pipeline.kubeflow_entrypoint") in commands


def pushers(nodes: dict) -> Iterator[dict]:
    """Where each pusher pushes to."""
    for name, node in nodes.items():
        if name.startswith("Pusher"):
            given = node["inputs"]["parameters"]["push_destination"]
            text = given["runtimeValue"]["constant"]
            yield json.loads(text)["filesystem"]


def test_entrypoint_maps_addresses_and_fills_in_types(tmp_path: Path) -> None:
    invocation = {
        "inputs": {"artifacts": {"model": {"artifacts": [{"uri": "gs://b/model"}]}}},
        "outputs": {
            "artifacts": {"out": {"artifacts": [{"uri": str(tmp_path / "out")}]}},
            "outputFile": str(tmp_path / "outputs.json"),
        },
    }
    declared = {"artifacts": {"model": {"artifactType": {"schemaTitle": "tfx.Model"}}}}
    argv, output_file = prepare(
        [
            "--json_serialized_invocation_args", json.dumps(invocation),
            "--json_serialized_inputs_spec_args", json.dumps(declared),
        ]
    )  # fmt: skip
    (model,) = json.loads(argv[1])["inputs"]["artifacts"]["model"]["artifacts"]
    assert model == {"uri": "/gcs/b/model", "type": {"schemaTitle": "tfx.Model"}}
    assert (tmp_path / "out").is_dir()
    assert output_file == str(tmp_path / "outputs.json")
