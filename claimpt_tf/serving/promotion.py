"""Which version answers by which label, changed with an audit line.

A models.config is the one place that says it; servers read it again when it changes.
`canary` names the version on trial, `stable` the one that everybody gets.
"""

from __future__ import annotations

import datetime
import getpass
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claimpt_tf.errors import ArtifactError, InputError
from claimpt_tf.serving.models_config import (
    ModelConfig,
    VersionPolicy,
    read_models_config,
    write_models_config,
)
from claimpt_tf.serving.saved_model import model_versions

AUDIT_FILE = "audit.jsonl"
STABLE, CANARY = "stable", "canary"
_PREVIOUS = "previous"


@dataclass(frozen=True)
class Change:
    """What was changed: a label from one version to another."""

    model: str
    label: str
    before: int | None
    after: int


def promote(
    config_file: str | Path,
    model: str,
    version: int,
    label: str = STABLE,
    *,
    reason: str = "",
    folder: str | Path | None = None,
) -> Change:
    """Gives a version a label.

    The version on trial loses `canary` when it becomes `stable`. The models.config
    then serves exactly the versions that have a label.

    Args:
        config_file: TensorFlow Serving's models.config; rewritten.
        model: its name there.
        version: a version under the model's folder.
        label: `stable`, `canary`, or another.
        reason: why; goes into the audit line.
        folder: where the versions are, if not at the model's `base_path` (a path
            inside a container, say); checked for the version.

    Raises:
        InputError: no such file or model, or nothing would change.
        ArtifactError: there is no such version.
    """
    configs, at = _find(config_file, model)
    there = model_versions(folder or configs[at].base_path)
    if version not in there:
        raise ArtifactError(
            f"model {model!r} has no version {version}; there are "
            f"{', '.join(map(str, there)) or 'none'}"
        )
    if not label or label == _PREVIOUS:
        raise InputError(f"{label!r} is no label; take {STABLE} or {CANARY}")
    labels = dict(configs[at].labels)
    before = labels.get(label)
    if before == version:
        raise InputError(f"version {version} is {label} already")
    labels[label] = version
    if label == STABLE:
        if labels.get(CANARY) == version:
            del labels[CANARY]
        if before is not None:
            labels[_PREVIOUS] = before
    change = Change(model, label, before, version)
    _write(config_file, configs, at, labels)
    _audit(config_file, "promote", change, reason)
    return change


def rollback(config_file: str | Path, model: str, *, reason: str = "") -> Change:
    """Makes the version stable that was stable before; it is still loaded.

    Raises:
        InputError: no such file or model, or there is nothing to go back to.
    """
    configs, at = _find(config_file, model)
    labels = dict(configs[at].labels)
    before, after = labels.get(STABLE), labels.pop(_PREVIOUS, None)
    if after is None or before is None:
        raise InputError(
            f"{config_file}: model {model!r} has no version that was stable before"
        )
    labels[STABLE] = after
    change = Change(model, STABLE, before, after)
    _write(config_file, configs, at, labels)
    _audit(config_file, "rollback", change, reason)
    return change


def audit_lines(config_file: str | Path) -> Iterator[dict[str, Any]]:
    """What was promoted and rolled back, oldest first."""
    path = Path(config_file).with_name(AUDIT_FILE)
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def _find(config_file: str | Path, model: str) -> tuple[list[ModelConfig], int]:
    configs = read_models_config(config_file)
    for at, config in enumerate(configs):
        if config.name == model:
            return configs, at
    names = ", ".join(one.name for one in configs)
    raise InputError(f"{config_file}: has no model {model!r}, only {names}")


def _write(
    config_file: str | Path,
    configs: list[ModelConfig],
    at: int,
    labels: Mapping[str, int],
) -> None:
    old = configs[at]
    # Without `stable` the newest version goes on answering those who name none.
    kept = tuple(sorted(set(labels.values())))
    policy = VersionPolicy(0, kept) if STABLE in labels else old.policy
    configs[at] = ModelConfig(old.name, old.base_path, policy, dict(labels))
    path = Path(config_file)
    part = path.with_name(f".{path.name}.part")
    part.write_text(write_models_config(configs) + "\n", encoding="utf-8")
    os.replace(part, path)


def _audit(config_file: str | Path, what: str, change: Change, reason: str) -> None:
    line = {
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds"),
        "what": what,
        "by": getpass.getuser(),
        "model": change.model,
        "label": change.label,
        "before": change.before,
        "after": change.after,
        "reason": reason,
    }
    path = Path(config_file).with_name(AUDIT_FILE)
    # One write to a file opened for appending: lines of two people never mix.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, (json.dumps(line) + "\n").encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
