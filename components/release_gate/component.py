"""ReleaseGate: one blessing of what TFMA and the report found."""

from __future__ import annotations

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.model_report.component import ComparisonReport
from components.release_gate.executor import Executor


class ReleaseGateSpec(component_spec.ComponentSpec):
    """A model and what was found of it in, a blessing out."""

    PARAMETERS = {
        "max_behind_counts": component_spec.ExecutionParameter(type=float),
    }
    INPUTS = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "evaluation": component_spec.ChannelParameter(
            type=standard_artifacts.ModelEvaluation
        ),
        "report": component_spec.ChannelParameter(type=ComparisonReport),
    }
    OUTPUTS = {
        "blessing": component_spec.ChannelParameter(
            type=standard_artifacts.ModelBlessing
        )
    }


class ReleaseGate(base_component.BaseComponent):
    """Blesses a model that passed TFMA's thresholds and is not behind counts.

    TFMA holds a model against one other, the last served one; how it does beside
    counts stands in the report, by a paired bootstrap.

    Args:
      model: The candidate.
      evaluation: The Evaluator's.
      report: ModelReport's.
      max_behind_counts: AUROC that counts may be ahead for sure; 1 sets no bound.
    """

    SPEC_CLASS = ReleaseGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        evaluation: types.BaseChannel,
        report: types.BaseChannel,
        max_behind_counts: float = 0.0,
    ) -> None:
        super().__init__(
            spec=ReleaseGateSpec(
                max_behind_counts=max_behind_counts,
                model=model,
                evaluation=evaluation,
                report=report,
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
            )
        )
