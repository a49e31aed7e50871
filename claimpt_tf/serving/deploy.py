"""Files that put a pushed model on real TensorFlow Serving.

The base image is TensorFlow Serving's own; the model lies on a volume, as `claimpt run`
pushed it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from claimpt_tf.errors import InputError
from claimpt_tf.serving.metrics import PATH as METRICS_PATH
from claimpt_tf.serving.models_config import (
    ModelConfig,
    VersionPolicy,
    check_name,
    write_models_config,
)
from claimpt_tf.serving.promotion import STABLE
from claimpt_tf.serving.saved_model import model_versions, read_saved_model

MODELS_FILE, BATCHING_FILE = "models.config", "batching.config"
MONITORING_FILE = "monitoring.config"
REST_PORT, GRPC_PORT = 8501, 8500
_CONFIG_FOLDER, _MODEL_FOLDER = "/config", "/models"
_BATCHING = """\
max_batch_size { value: 64 }
batch_timeout_micros { value: 0 }
max_enqueued_batches { value: 100 }
num_batch_threads { value: 2 }
pad_variable_length_inputs: true
"""
_MONITORING = f"""\
prometheus_config {{
  enable: true
  path: "{METRICS_PATH}"
}}
"""


@dataclass(frozen=True)
class Deployment:
    """What is deployed.

    Attributes:
        model_base: folder of versions, on this machine.
        name: the model's name in URLs and of what is made.
        image: TensorFlow Serving's; None takes the version that wrote the model.
        claim: name of the Kubernetes volume claim that holds the folder.
        storage_uri: where KServe fetches the folder; None takes the claim.
        replicas: least and most.
    """

    model_base: str
    name: str = "claimpt"
    image: str | None = None
    claim: str = "claimpt-models"
    storage_uri: str | None = None
    replicas: tuple[int, int] = (2, 10)


def deploy(target: str, deployment: Deployment, out: str | Path) -> list[Path]:
    """Writes the files of a target.

    Args:
        target: `compose`, `k8s` or `kserve`.
        deployment: what is deployed.
        out: folder to write to; files of the same name are replaced, except a
            models.config, whose labels `claimpt promote` keeps.

    Returns:
        The files.

    Raises:
        InputError: an unknown target, a bad name, or no version to deploy.
        ArtifactError: `model_base` holds no model.
    """
    makers: dict[str, Callable[[Deployment, str], dict[str, str]]] = {
        "compose": _compose, "k8s": _kubernetes, "kserve": _kserve,
    }  # fmt: skip
    if target not in makers:
        raise InputError(f"{target!r} is no target; choose {', '.join(makers)}")
    check_name(deployment.name)
    versions = model_versions(deployment.model_base)
    if not versions:
        raise InputError(f"{deployment.model_base}: no version of a model here")
    newest = max(versions)
    image = deployment.image or (
        "tensorflow/serving:" + read_saved_model(versions[newest]).tensorflow_version
    )
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        MODELS_FILE: models_config(deployment, newest),
        BATCHING_FILE: _BATCHING,
        MONITORING_FILE: _MONITORING,
    }
    if (folder / MODELS_FILE).exists():
        files[MODELS_FILE] = (folder / MODELS_FILE).read_text(encoding="utf-8")
    files |= _with_config(makers[target](deployment, image), files, deployment)
    written = []
    for name, text in files.items():
        part = folder / f".{name}.part"
        part.write_text(text, encoding="utf-8")
        os.replace(part, folder / name)
        written.append(folder / name)
    return written


def models_config(deployment: Deployment, version: int) -> str:
    """A models.config that serves one version as stable."""
    config = ModelConfig(
        deployment.name,
        f"{_MODEL_FOLDER}/{deployment.name}",
        VersionPolicy(0, (version,)),
        {STABLE: version},
    )
    return write_models_config([config]) + "\n"


def _arguments() -> list[str]:
    return [
        f"--port={GRPC_PORT}",
        f"--rest_api_port={REST_PORT}",
        f"--model_config_file={_CONFIG_FOLDER}/{MODELS_FILE}",
        "--model_config_file_poll_wait_seconds=10",
        "--enable_batching=true",
        f"--batching_parameters_file={_CONFIG_FOLDER}/{BATCHING_FILE}",
        f"--monitoring_config_file={_CONFIG_FOLDER}/{MONITORING_FILE}",
        # A label that a new configuration gives and a version still loading must
        # not stop the server.
        "--allow_version_labels_for_unavailable_models=true",
    ]


def _compose(deployment: Deployment, image: str) -> dict[str, str]:
    base = os.path.abspath(deployment.model_base)
    service = {
        "image": image,
        # The image's own entry point names one model and knows no configuration.
        "entrypoint": ["tensorflow_model_server", *_arguments()],
        "ports": [
            f"127.0.0.1:{GRPC_PORT}:{GRPC_PORT}",
            f"127.0.0.1:{REST_PORT}:{REST_PORT}",
        ],
        "volumes": [
            f"{base}:{_MODEL_FOLDER}/{deployment.name}:ro",
            f"./:{_CONFIG_FOLDER}:ro",
        ],
        "restart": "unless-stopped",
        "read_only": True,
        "security_opt": ["no-new-privileges:true"],
        "healthcheck": {
            # The image has bash, but neither curl nor wget.
            "test": ["CMD", "bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{REST_PORT}"],
            "interval": "10s",
            "timeout": "3s",
            "retries": 6,
            "start_period": "60s",
        },
        "deploy": {"resources": {"limits": {"cpus": "2", "memory": "2G"}}},
    }
    return {"compose.yaml": _yaml({"services": {deployment.name: service}})}


def _container(deployment: Deployment, image: str) -> dict[str, Any]:
    status = f"/v1/models/{deployment.name}/labels/{STABLE}"
    return {
        "name": deployment.name,
        "image": image,
        "command": ["tensorflow_model_server"],
        "args": _arguments(),
        "ports": [
            {"name": "grpc", "containerPort": GRPC_PORT},
            {"name": "http", "containerPort": REST_PORT},
        ],
        "resources": {
            "requests": {"cpu": "1", "memory": "1Gi"},
            "limits": {"cpu": "2", "memory": "2Gi"},
        },
        "startupProbe": {
            "httpGet": {"path": status, "port": "http"},
            "periodSeconds": 5,
            "failureThreshold": 60,
        },
        "readinessProbe": {
            "httpGet": {"path": status, "port": "http"},
            "periodSeconds": 5,
        },
        "livenessProbe": {
            "tcpSocket": {"port": "grpc"},
            "periodSeconds": 10,
            "failureThreshold": 6,
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "models", "mountPath": _MODEL_FOLDER, "readOnly": True},
            {"name": "config", "mountPath": _CONFIG_FOLDER, "readOnly": True},
        ],
    }


def _kubernetes(deployment: Deployment, image: str) -> dict[str, str]:
    name, labels = deployment.name, {"app.kubernetes.io/name": deployment.name}
    least, most = deployment.replicas
    pod = {
        "metadata": {
            "labels": labels,
            "annotations": {
                "prometheus.io/scrape": "true",
                "prometheus.io/port": str(REST_PORT),
                "prometheus.io/path": METRICS_PATH,
            },
        },
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532},
            "terminationGracePeriodSeconds": 30,
            "containers": [_container(deployment, image)],
            "volumes": [
                {
                    "name": "models",
                    "persistentVolumeClaim": {
                        "claimName": deployment.claim, "readOnly": True,
                    },
                },
                {"name": "config", "configMap": {"name": f"{name}-config"}},
            ],
        },
    }  # fmt: skip
    documents = [
        _object("apps/v1", "Deployment", name, {
            "replicas": least,
            "selector": {"matchLabels": labels},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "template": pod,
        }),
        _object("v1", "Service", name, {
            "selector": labels,
            "ports": [
                {"name": "grpc", "port": GRPC_PORT, "targetPort": "grpc"},
                {"name": "http", "port": REST_PORT, "targetPort": "http"},
            ],
        }),
        _object("autoscaling/v2", "HorizontalPodAutoscaler", name, {
            "scaleTargetRef": {
                "apiVersion": "apps/v1", "kind": "Deployment", "name": name,
            },
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [{
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 70},
                },
            }],
        }),
        _object("policy/v1", "PodDisruptionBudget", name, {
            "minAvailable": 1, "selector": {"matchLabels": labels},
        }),
    ]  # fmt: skip
    return {"kubernetes.yaml": _yaml(*documents)}


def _kserve(deployment: Deployment, image: str) -> dict[str, str]:
    uri = deployment.storage_uri or f"pvc://{deployment.claim}/{deployment.name}"
    least, most = deployment.replicas
    service = _object(
        "serving.kserve.io/v1beta1", "InferenceService", deployment.name,
        {
            "predictor": {
                "minReplicas": least,
                "maxReplicas": most,
                "scaleMetric": "concurrency",
                "scaleTarget": 32,
                "canaryTrafficPercent": 100,
                "model": {
                    "modelFormat": {"name": "tensorflow"},
                    "storageUri": uri,
                    "image": image,
                    "resources": {
                        "requests": {"cpu": "1", "memory": "1Gi"},
                        "limits": {"cpu": "2", "memory": "2Gi"},
                    },
                },
            }
        },
    )  # fmt: skip
    return {"kserve.yaml": _yaml(service)}


def _with_config(
    made: dict[str, str], files: dict[str, str], deployment: Deployment
) -> dict[str, str]:
    """Kubernetes reads the configuration files from a ConfigMap."""
    if "kubernetes.yaml" in made:
        config = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{deployment.name}-config"},
            "data": dict(files),
        }
        made["kubernetes.yaml"] += "---\n" + _yaml(config)
    return made


def _object(api: str, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": name}},
        "spec": spec,
    }


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as such, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _yaml(*documents: dict[str, Any]) -> str:
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False)
