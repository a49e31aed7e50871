"""CohortGen: the labelled examples of a task, as an artifact."""

from __future__ import annotations

from pathlib import Path

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from claimpt_tf.codes.category_files import categories_digest
from claimpt_tf.tasks.label_table import digest
from claimpt_tf.tasks.spec import Task
from components.cohort_gen.executor import Executor


class CohortAttrition(types.Artifact):
    """How many members left the cohort at each step (`attrition.json`)."""

    TYPE_NAME = "claimpt.CohortAttrition"


class CohortGenSpec(component_spec.ComponentSpec):
    """Records and a task in, labelled examples and attrition out."""

    PARAMETERS = {
        "task": component_spec.ExecutionParameter(type=str),
        "key_file": component_spec.ExecutionParameter(type=str, optional=True),
        "table_digest": component_spec.ExecutionParameter(type=str, optional=True),
        "categories_digest": component_spec.ExecutionParameter(type=str, optional=True),
    }
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples)
    }
    OUTPUTS = {
        "cohort": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "attrition": component_spec.ChannelParameter(type=CohortAttrition),
    }


class CohortGen(base_beam_component.BaseBeamComponent):
    """Labels patient records by a task.

    Each labelled example holds only what was known on its index date. Fails when the
    task matches nobody or too few. For several tasks in one pipeline give each its own
    CohortGen: `CohortGen(...).with_id(f"CohortGen.{task.name}")`.

    Args:
      examples: Records of ClaimsExampleGen.
      task: The question; its whole text is a parameter, so that a changed task makes a
        new execution, and so does a changed table of labels.
      key_file: The key that ClaimsExampleGen hashed member ids with, for a task whose
        labels stand in a table.
    """

    SPEC_CLASS = CohortGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self, examples: types.BaseChannel, task: Task, key_file: str = ""
    ) -> None:
        # Compiled for another machine, the table may not be here; it is read there.
        table = task.labels.file if task.labels else None
        super().__init__(
            spec=CohortGenSpec(
                task=task.model_dump_json(),
                key_file=key_file,
                # A changed file is a changed run, though its name stays.
                table_digest=digest(table) if table and Path(table).exists() else "",
                categories_digest=categories_digest(task.category_files),
                examples=examples,
                cohort=types.Channel(type=standard_artifacts.Examples),
                attrition=types.Channel(type=CohortAttrition),
            )
        )
