"""Executors of LastServed and of the Evaluator that takes what it finds."""

from __future__ import annotations

import json
import os
from typing import Any

from tfx.components.evaluator import executor as tfx_evaluator
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import Artifact, artifact_utils, standard_component_specs
from tfx.utils import io_utils, path_utils

from claimpt_tf.serving.export import METADATA_FILE

FOUND_FILE = "found.json"
_FINGERPRINT = "fingerprint.pb"  # TensorFlow's, another one for each export


class Executor(base_executor.BaseExecutor):
    """Copies a served model, or says that there is none."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the model, and beside it which version it is."""
        candidate = artifact_utils.get_single_instance(input_dict["candidate"])
        target = artifact_utils.get_single_uri(output_dict["model"])
        version = last_served(
            exec_properties["served_at"],
            exec_properties["task"],
            path_utils.serving_model_path(candidate.uri),
        )
        if version is not None:
            source = os.path.join(exec_properties["served_at"], version)
            io_utils.copy_dir(source, path_utils.serving_model_dir(target))
        found = json.dumps({"version": version})
        io_utils.write_string_file(os.path.join(target, FOUND_FILE), found)


def last_served(served_at: str, task: str, candidate: str) -> str | None:
    """The newest version of a task's model that is not the candidate.

    Args:
      served_at: Folder of numbered versions; it need not be there.
      task: Name of the task.
      candidate: Folder of the candidate's SavedModel.
    """
    if not fileio.isdir(served_at):
        return None
    names = [name.rstrip("/") for name in fileio.listdir(served_at)]
    for version in sorted(filter(str.isdigit, names), key=int, reverse=True):
        folder = os.path.join(served_at, version)
        if _task_of(folder) == task and _fingerprint(folder) != _fingerprint(candidate):
            return version
    return None


def _task_of(folder: str) -> str | None:
    path = os.path.join(folder, "assets.extra", METADATA_FILE)
    if not fileio.exists(path):
        return None
    with fileio.open(path) as file:
        task = json.load(file).get("task")
    return None if task is None else str(task)


def _fingerprint(folder: str) -> bytes:
    with fileio.open(os.path.join(folder, _FINGERPRINT), "rb") as file:
        return bytes(file.read())


class EvaluatorExecutor(tfx_evaluator.Executor):
    """TFX's, but for a baseline without a model."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Evaluates the candidate, beside a baseline where there is one."""
        baseline = standard_component_specs.BASELINE_MODEL_KEY
        there = [
            model
            for model in input_dict.get(baseline, [])
            if fileio.isdir(path_utils.serving_model_path(model.uri))
        ]
        super().Do({**input_dict, baseline: there}, output_dict, exec_properties)
