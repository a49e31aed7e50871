"""ServingValidator: what TFX's InfraValidator does, without Docker."""

from __future__ import annotations

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.serving_validator.executor import Executor


class ServingValidatorSpec(component_spec.ComponentSpec):
    """A model and sample records in, an infra blessing out."""

    PARAMETERS = {
        "samples": component_spec.ExecutionParameter(type=int),
        "latency_budget_ms": component_spec.ExecutionParameter(type=float),
    }
    INPUTS = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {
        "blessing": component_spec.ChannelParameter(
            type=standard_artifacts.InfraBlessing
        )
    }


class ServingValidator(base_component.BaseComponent):
    """Blesses a model that TensorFlow's C++ loader serves like Python does.

    Loads the SavedModel with the loader that TF Serving uses, replays records of the
    test split, compares all six signatures and the warm-up, and looks for Python ops.

    Args:
      model: The candidate.
      examples: Labelled examples with a `test` split.
      samples: Records to replay.
      latency_budget_ms: Median time of one request, in this process.
    """

    SPEC_CLASS = ServingValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        examples: types.BaseChannel,
        samples: int = 64,
        latency_budget_ms: float = 250.0,
    ) -> None:
        super().__init__(
            spec=ServingValidatorSpec(
                samples=samples,
                latency_budget_ms=latency_budget_ms,
                model=model,
                examples=examples,
                blessing=types.Channel(type=standard_artifacts.InfraBlessing),
            )
        )
