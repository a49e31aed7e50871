"""LastServed, and an Evaluator that does without where nothing was served yet."""

from __future__ import annotations

from tfx import types
from tfx.components import Evaluator
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.last_served.driver import VERSION, Driver
from components.last_served.executor import EvaluatorExecutor, Executor


class LastServedSpec(component_spec.ComponentSpec):
    """A candidate in, the model that it is to replace out."""

    PARAMETERS = {
        "served_at": component_spec.ExecutionParameter(type=str),
        "task": component_spec.ExecutionParameter(type=str),
        VERSION: component_spec.ExecutionParameter(type=str, optional=True),
    }
    INPUTS = {
        "candidate": component_spec.ChannelParameter(type=standard_artifacts.Model)
    }
    OUTPUTS = {"model": component_spec.ChannelParameter(type=standard_artifacts.Model)}


class LastServed(base_component.BaseComponent):
    """Copies the newest served model of a task, other than the candidate.

    A component looks where models are pushed, because Kubeflow refuses pipelines with
    resolvers, which would ask ML Metadata. What was pushed has passed the gate and the
    ServingValidator.

    Args:
      candidate: The model to be judged. It is among the served ones in a rerun.
      served_at: Folder of numbered versions that the Pusher pushes to.
      task: Name of the task; a folder may hold models of another one.
    """

    SPEC_CLASS = LastServedSpec
    DRIVER_CLASS = Driver
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, candidate: types.BaseChannel, served_at: str, task: str) -> None:
        super().__init__(
            spec=LastServedSpec(
                candidate=candidate,
                served_at=served_at,
                task=task,
                model=types.Channel(type=standard_artifacts.Model),
            )
        )


class EvaluatorBesideLast(Evaluator):
    """TFX's Evaluator; a baseline that LastServed did not find is left out."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(EvaluatorExecutor)
