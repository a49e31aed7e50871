from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from claimpt_tf.errors import InputError
from claimpt_tf.serving.deploy import Deployment, deploy
from claimpt_tf.serving.models_config import read_batching, read_models_config

client = pytest.importorskip("kubernetes.client")


@pytest.fixture
def base(saved_models: dict[str, Path], tmp_path: Path) -> str:
    shutil.copytree(saved_models["one"], tmp_path / "claimpt" / "7")
    return str(tmp_path / "claimpt")


def misfits(value: Any, kind: str, where: str) -> Iterator[str]:
    """Where a value is not as the Kubernetes API's own models describe it."""
    if kind.startswith("list["):
        assert isinstance(value, list), where
        for at, one in enumerate(value):
            yield from misfits(one, kind[5:-1], f"{where}[{at}]")
    elif kind.startswith("dict("):
        for key, one in value.items():
            yield from misfits(one, kind[5:-1].split(", ")[1], f"{where}.{key}")
    elif hasattr(client, kind):
        model = getattr(client, kind)
        fields = {json: name for name, json in model.attribute_map.items()}
        for key, one in value.items():
            if key not in fields:
                yield f"{where}.{key}: no field of {kind}"
            else:
                wanted = model.openapi_types[fields[key]]
                yield from misfits(one, wanted, f"{where}.{key}")
        plain = {fields[k]: v for k, v in value.items() if k in fields}
        try:
            model(**plain)  # knows what is required
        except ValueError as error:
            yield f"{where}: {error}"
    elif kind in ("str", "int", "bool", "float") and type(value).__name__ != kind:
        yield f"{where}: takes {kind}"


MODELS = {
    "Deployment": "V1Deployment",
    "Service": "V1Service",
    "HorizontalPodAutoscaler": "V2HorizontalPodAutoscaler",
    "PodDisruptionBudget": "V1PodDisruptionBudget",
    "ConfigMap": "V1ConfigMap",
}


def test_kubernetes_objects_are_what_its_api_takes(base: str, tmp_path: Path) -> None:
    deploy("k8s", Deployment(base), tmp_path / "out")
    text = (tmp_path / "out" / "kubernetes.yaml").read_text()
    documents = {one["kind"]: one for one in yaml.safe_load_all(text)}
    assert set(documents) == set(MODELS)
    for kind, document in documents.items():
        assert list(misfits(document, MODELS[kind], kind)) == []
    pod = documents["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    names = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == names
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert container["readinessProbe"]["httpGet"]["port"] in ports
    files = documents["ConfigMap"]["data"]
    for argument in container["args"]:
        if "_file=" in argument:
            assert argument.rsplit("/", 1)[1] in files
    assert container["image"].startswith("tensorflow/serving:2.")


def test_the_check_itself_finds_misfits() -> None:
    bad = {"apiVersion": "v1", "spec": {"ports": [{"prot": 1}], "selector": 3}}
    found = list(misfits(bad["spec"]["ports"], "list[V1ServicePort]", "ports"))
    assert "ports[0].prot: no field of V1ServicePort" in found
    assert any("`port`, must not be `None`" in one for one in found)


def test_compose_and_kserve(base: str, tmp_path: Path) -> None:
    deploy("compose", Deployment(base, image="registry/ts:1"), tmp_path / "c")
    (service,) = yaml.safe_load((tmp_path / "c" / "compose.yaml").read_text())[
        "services"
    ].values()
    assert service["image"] == "registry/ts:1"
    source, target, mode = service["volumes"][0].split(":")
    assert (source, target, mode) == (base, "/models/claimpt", "ro")
    known = {"image", "entrypoint", "ports", "volumes", "restart", "read_only",
             "security_opt", "healthcheck", "deploy"}  # fmt: skip
    assert set(service) <= known

    uri = "gs://bucket/claimpt"
    deploy("kserve", Deployment(base, storage_uri=uri), tmp_path / "k")
    found = yaml.safe_load((tmp_path / "k" / "kserve.yaml").read_text())
    assert found["apiVersion"] == "serving.kserve.io/v1beta1"
    predictor = found["spec"]["predictor"]
    assert predictor["model"]["storageUri"] == uri
    resources = client.V1ResourceRequirements(**predictor["model"]["resources"])
    assert resources.limits["memory"] == "2Gi"


def test_configuration_files_are_read_back(base: str, tmp_path: Path) -> None:
    files = deploy("compose", Deployment(base), tmp_path)
    (model,) = read_models_config(tmp_path / "models.config")
    assert (model.base_path, model.labels) == ("/models/claimpt", {"stable": 7})
    assert read_batching(tmp_path / "batching.config").max_batch_size == 64
    assert {file.name for file in files} == {
        "models.config", "batching.config", "monitoring.config", "compose.yaml",
    }  # fmt: skip
    changed = (tmp_path / "models.config").read_text().replace("stable", "mine")
    (tmp_path / "models.config").write_text(changed)
    deploy("compose", Deployment(base), tmp_path)
    assert (tmp_path / "models.config").read_text() == changed
    with pytest.raises(InputError, match="'helm' is no target"):
        deploy("helm", Deployment(base), tmp_path)
