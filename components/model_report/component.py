"""ModelReport: the model beside its baselines, on one page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from claimpt_tf.evaluation.evaluate import FEWEST_EVENTS
from claimpt_tf.tasks.spec import Task
from components.cohort_gen.component import CohortAttrition
from components.model_report.executor import Executor


class ComparisonReport(types.Artifact):
    """What `claimpt evaluate` writes: page, figures, predictions, card."""

    TYPE_NAME = "claimpt.ComparisonReport"


class ModelReportSpec(component_spec.ComponentSpec):
    """Models, cohort and attrition in, a report out."""

    PARAMETERS = {
        "task": component_spec.ExecutionParameter(type=str),
        "source": component_spec.ExecutionParameter(type=str),
        "true_risk": component_spec.ExecutionParameter(type=str),
        "key_file": component_spec.ExecutionParameter(type=str),
        "replicates": component_spec.ExecutionParameter(type=int),
        "seed": component_spec.ExecutionParameter(type=int),
        "min_events": component_spec.ExecutionParameter(type=int),
        "past_windows": component_spec.ExecutionParameter(type=int),
        "parameters": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "scratch": component_spec.ChannelParameter(
            type=standard_artifacts.Model, optional=True
        ),
        "cohort": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "attrition": component_spec.ChannelParameter(type=CohortAttrition),
        "records": component_spec.ChannelParameter(
            type=standard_artifacts.Examples, optional=True
        ),
        "transform_graph": component_spec.ChannelParameter(
            type=standard_artifacts.TransformGraph, optional=True
        ),
        "base_model": component_spec.ChannelParameter(
            type=standard_artifacts.Model, optional=True
        ),
    }
    OUTPUTS = {"report": component_spec.ChannelParameter(type=ComparisonReport)}


class ModelReport(base_component.BaseComponent):
    """Judges the model on the test split beside its rivals, as `claimpt evaluate`.

    Args:
      model: The fine-tuned model.
      cohort: Labelled examples.
      attrition: CohortGen's.
      task: The question.
      source: Input standard, for the page.
      scratch: The same network trained without pre-training.
      true_risk: The simulator's table of true risks, where there is one.
      key_file: File with the key that hashes member ids, to join the true risks.
      replicates: Bootstrap replicates.
      seed: Of bootstrap and baselines.
      min_events: With fewer rows of a class, figures that need both are not estimable.
      past_windows: Whether counts that also get past windows are a rival; slow.
      records: ClaimsExampleGen's, for the lineage.
      transform_graph: For the lineage.
      base_model: The pre-trained model, for the lineage.
      parameters: Step -> its choices, for the lineage.
    """

    SPEC_CLASS = ModelReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        cohort: types.BaseChannel,
        attrition: types.BaseChannel,
        task: Task,
        source: str,
        scratch: types.BaseChannel | None = None,
        true_risk: str = "",
        key_file: str = "",
        replicates: int = 1000,
        seed: int = 7,
        min_events: int = FEWEST_EVENTS,
        past_windows: bool = True,
        records: types.BaseChannel | None = None,
        transform_graph: types.BaseChannel | None = None,
        base_model: types.BaseChannel | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            spec=ModelReportSpec(
                task=task.model_dump_json(),
                source=source,
                true_risk=true_risk,
                key_file=key_file,
                replicates=replicates,
                seed=seed,
                min_events=min_events,
                past_windows=int(past_windows),
                parameters=json.dumps(parameters or {}),
                model=model,
                scratch=scratch,
                cohort=cohort,
                attrition=attrition,
                records=records,
                transform_graph=transform_graph,
                base_model=base_model,
                report=types.Channel(type=ComparisonReport),
            )
        )
