"""What backbones have in common: a state for any date, an output for each visit."""

from __future__ import annotations

from typing import Any, ClassVar

import keras
import keras_hub

from claimpt_tf.errors import ArtifactError


class TimelineBackbone(keras_hub.models.Backbone):
    """Visits and dates in; out, the patient's state on each date.

    Takes the dict of `claimpt_tf.models.inputs.backbone_inputs` and returns float
    [B, Q, width]. No state reads a visit that ends after its date.

    Attributes:
      width: Width of visit vectors and states.
      layer_count: Number of blocks, named `block_0` onwards.
      causal: Whether the output of a visit reads nothing of later visits, so that
        every visit can be asked for the one that follows.
      sizes: Arguments by preset name.
    """

    width: int
    layer_count: int
    causal: ClassVar[bool]
    sizes: ClassVar[dict[str, dict[str, Any]]] = {}

    def call(self, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """States; entries of the dict that the network does not read are left."""
        return super().call(self._read(inputs), *args, **kwargs)

    def compute_output_spec(
        self, inputs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Symbolic states."""
        return super().compute_output_spec(self._read(inputs), *args, **kwargs)

    def _read(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {name: inputs[name] for name in self.input}

    def with_visits(self) -> keras.Model:
        """The same network, giving the visits' outputs too.

        Returns:
          A functional model that shares every weight, of exactly the inputs that the
          network reads (the keys of its `input`), with outputs
          `state` float [B, Q, width], `visits` float [B, S, width] and `visit_place`
          int32 [B, S]: the place among V of the visit that an output belongs to, -1
          where there is none.
        """
        visits, place = self._visit_outputs()
        return keras.Model(
            self.input,
            {"state": self.output, "visits": visits, "visit_place": place},
            name=f"{self.name}_with_visits",
        )

    def _visit_outputs(self) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        raise NotImplementedError

    @classmethod
    def from_preset(
        cls, preset: str, load_weights: bool = True, **kwargs: Any
    ) -> TimelineBackbone:
        """A backbone of a named size, or one that `save_to_preset` wrote.

        Args:
          preset: A name, for a fresh network, or a folder.
          load_weights: Whether a folder's weights are loaded.
          **kwargs: Arguments of the class that replace the preset's. A named size
            needs those that depend on the data, such as `codes`.

        Raises:
          ArtifactError: There is no such name, nor such a folder.
        """
        if preset in cls.sizes:
            return cls(**{**cls.sizes[preset], **kwargs})
        try:
            return super().from_preset(preset, load_weights, **kwargs)
        except (FileNotFoundError, ValueError) as error:
            names = ", ".join(cls.sizes)
            raise ArtifactError(
                f"{preset!r} is no preset of {cls.__name__} ({names}), and no folder "
                "to which save_to_preset wrote one"
            ) from error
