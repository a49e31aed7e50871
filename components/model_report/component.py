"""ModelReport: the model beside its baselines, on one page."""

from __future__ import annotations

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from claimpt_tf.tasks.spec import Task
from components.cohort_gen.component import CohortAttrition
from components.model_report.executor import Executor


class ComparisonReport(types.Artifact):
    """`report.html`, `metrics.json` and `predictions.parquet`."""

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
    }
    INPUTS = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "scratch": component_spec.ChannelParameter(
            type=standard_artifacts.Model, optional=True
        ),
        "cohort": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "attrition": component_spec.ChannelParameter(type=CohortAttrition),
    }
    OUTPUTS = {"report": component_spec.ChannelParameter(type=ComparisonReport)}


class ModelReport(base_component.BaseComponent):
    """Scores the test split with the models as they would be served.

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
    ) -> None:
        super().__init__(
            spec=ModelReportSpec(
                task=task.model_dump_json(),
                source=source,
                true_risk=true_risk,
                key_file=key_file,
                replicates=replicates,
                seed=seed,
                model=model,
                scratch=scratch,
                cohort=cohort,
                attrition=attrition,
                report=types.Channel(type=ComparisonReport),
            )
        )
