"""TensorFlow Serving's configuration files: models.config and batching parameters."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from claimpt_tf.errors import InputError
from claimpt_tf.serving import protos

_NAME = re.compile(r"[^/:\s]+")


@dataclass(frozen=True)
class VersionPolicy:
    """Which versions of a model are served.

    Attributes:
        latest: as many of the highest that load; 0 where another rule holds.
        specific: these numbers; empty where another rule holds. With neither, all.
    """

    latest: int = 1
    specific: tuple[int, ...] = ()

    @property
    def all(self) -> bool:
        """Whether every version is served."""
        return not self.latest and not self.specific


@dataclass(frozen=True)
class ModelConfig:
    """One model: its name, folder of versions, policy, and labels of versions."""

    name: str
    base_path: str
    policy: VersionPolicy = VersionPolicy()
    labels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Batching:
    """How requests are joined.

    Attributes:
        max_batch_size: rows of a joined batch, at most.
        timeout_seconds: how long a batch waits for company while a thread is free.
            While all are busy, requests join anyway.
        max_enqueued: joined batches that wait; a request beyond is refused with
            RESOURCE_EXHAUSTED.
        threads: batches that run at once.
        pad: whether requests whose histories differ in length are padded to one.
    """

    max_batch_size: int = 64
    timeout_seconds: float = 0.0
    max_enqueued: int = 100
    threads: int = os.cpu_count() or 1
    pad: bool = True


def check_name(name: str) -> None:
    """Refuses a name that could not stand in a URL.

    Raises:
        InputError: it holds a space, slash or colon, or nothing.
    """
    if not _NAME.fullmatch(name):
        raise InputError("a model's name has no spaces, slashes or colons")


def model_configs(message: Any) -> list[ModelConfig]:
    """The models of a ModelServerConfig.

    Raises:
        InputError: no model, a name twice, a missing folder or a bad policy.
    """
    if message.HasField("custom_model_config"):
        raise InputError("custom_model_config is not supported; use model_config_list")
    configs = [_model(one) for one in message.model_config_list.config]
    if not configs:
        raise InputError("names no model; give model_config_list { config { ... } }")
    names = [one.name for one in configs]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"names the model {name!r} twice")
    return configs


def _model(one: Any) -> ModelConfig:
    check_name(one.name)
    if not one.base_path:
        raise InputError(f"model {one.name!r} has no base_path")
    if one.model_platform not in ("", "tensorflow"):
        raise InputError(
            f'model {one.name!r}: model_platform must be "tensorflow" here'
        )
    wanted, policy = one.model_version_policy, VersionPolicy()
    chosen = [n for n in ("latest", "all", "specific") if wanted.HasField(n)]
    if len(chosen) > 1:
        raise InputError(f"model {one.name!r}: more than one model_version_policy")
    if chosen == ["latest"]:
        policy = VersionPolicy(latest=wanted.latest.num_versions or 1)
    elif chosen == ["all"]:
        policy = VersionPolicy(latest=0)
    elif chosen == ["specific"]:
        if not wanted.specific.versions:
            raise InputError(f"model {one.name!r}: specific policy without versions")
        policy = VersionPolicy(latest=0, specific=tuple(wanted.specific.versions))
    return ModelConfig(one.name, one.base_path, policy, dict(one.version_labels))


def read_models_config(path: str | Path) -> list[ModelConfig]:
    """Reads TensorFlow Serving's `--model_config_file`.

    Raises:
        InputError: the file is missing, no such text proto, or not servable here;
            the message names file, line and column.
    """
    message = protos.ModelServerConfig()
    _parse(path, message)
    try:
        return model_configs(message)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def read_batching(path: str | Path) -> Batching:
    """Reads TensorFlow Serving's `--batching_parameters_file`.

    Raises:
        InputError: the file is missing or no such text proto.
    """
    message = protos.BatchingParameters()
    _parse(path, message)
    plain = Batching()

    def value(name: str, otherwise: int, least: int = 1) -> int:
        if not message.HasField(name):
            return otherwise
        given = getattr(message, name).value
        if given < least:
            raise InputError(f"{path}: {name} must be {least} or more")
        return given

    return Batching(
        max_batch_size=value("max_batch_size", plain.max_batch_size),
        timeout_seconds=value("batch_timeout_micros", 0, least=0) / 1e6,
        max_enqueued=value("max_enqueued_batches", plain.max_enqueued),
        threads=value("num_batch_threads", plain.threads),
        pad=message.pad_variable_length_inputs,
    )


def _parse(path: str | Path, message: Any) -> None:
    try:
        text_format.Parse(Path(path).read_text(encoding="utf-8"), message)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text") from error
    except text_format.ParseError as error:
        raise InputError(f"{path}: not TensorFlow Serving's text proto: {error}") from (
            error
        )


def write_models_config(configs: list[ModelConfig]) -> str:
    """The text of a models.config.

    Example:
        >>> print(write_models_config([ModelConfig("claimpt", "/models/claimpt",
        ...     VersionPolicy(0, (3, 4)), {"stable": 3})]))
        model_config_list {
          config {
            name: "claimpt"
            base_path: "/models/claimpt"
            model_platform: "tensorflow"
            model_version_policy {
              specific {
                versions: 3
                versions: 4
              }
            }
            version_labels {
              key: "stable"
              value: 3
            }
          }
        }
    """
    message = protos.ModelServerConfig()
    for config in configs:
        one = message.model_config_list.config.add(
            name=config.name, base_path=config.base_path, model_platform="tensorflow"
        )
        if config.policy.specific:
            one.model_version_policy.specific.versions.extend(config.policy.specific)
        elif config.policy.all:
            one.model_version_policy.all.SetInParent()
        elif config.policy.latest > 1:
            one.model_version_policy.latest.num_versions = config.policy.latest
        one.version_labels.update(config.labels)
    return text_format.MessageToString(message).rstrip("\n")
