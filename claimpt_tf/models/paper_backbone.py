"""The published network (Zeng, Linwood, Liu, Scientific Reports 12:3651, 2022)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from claimpt_tf.models.inputs import backbone_inputs
from claimpt_tf.models.observation_year import Keep, ObservationYear
from claimpt_tf.models.paper_embedding import PaperEmbedding
from claimpt_tf.models.post_norm_block import PostNormBlock
from claimpt_tf.models.timeline_backbone import TimelineBackbone
from claimpt_tf.models.token_dense import TokenDense


@keras.saving.register_keras_serializable("claimpt_tf")
class PaperBackbone(TimelineBackbone):
    """Claim-PT to the letter, asked on any date.

    For each date it reads the person's age and sex on that date and at most `visits`
    visits of the 365 days that end on it; a date outside that year, stems, lengths of
    stay and costs are not read. The state is the patient embedding: a dense layer on
    the output of position 0.

    Args:
      codes: Size of the code vocabulary, special ids included.
      width: Width of tokens and states.
      layers: Number of blocks.
      heads: Attention heads a block.
      feed_forward: Hidden width of the blocks.
      visits: Most visits of an observation year.
      keep: Which visits stay of a longer one, "earliest" (the paper's) or "latest".
      demographics: Size of the vocabulary of sexes and ages.

    Example:
      >>> backbone = PaperBackbone.from_preset("paper", codes=50)
      >>> backbone.output_shape
      (None, None, 100)
    """

    causal = False
    sizes = {"paper": {"width": 100, "layers": 1, "heads": 2, "feed_forward": 100}}

    def __init__(
        self,
        codes: int,
        width: int = 100,
        layers: int = 1,
        heads: int = 2,
        feed_forward: int = 100,
        visits: int = 30,
        keep: Keep = "earliest",
        demographics: int = 24,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        inputs = backbone_inputs()
        asked = inputs["query_day"]
        known_day = inputs["visit_day"] + inputs["visit_length"]
        chosen = ObservationYear(visits, keep, name="observation_year")(
            known_day, ops.equal(inputs["visit_type"], 0), asked
        )
        tokens = PaperEmbedding(
            codes, width, demographics, dtype=dtype, name="visit_embedding"
        )(
            inputs["code_ids"],
            inputs["visit_type"],
            known_day,
            chosen,
            asked,
            inputs["sex"],
            inputs["birth_day"],
        )
        real = ops.concatenate([ops.ones_like(chosen[..., :1]), chosen + 1], axis=-1)
        for number in range(layers):
            block = PostNormBlock(
                width, heads, feed_forward, dtype=dtype, name=f"block_{number}"
            )
            tokens = block(tokens, ops.greater(real, 0))
        states = TokenDense(width, dtype=dtype, name="patient_embedding")(
            tokens[:, :, 0]
        )
        inputs = {n: x for n, x in inputs.items() if n not in ("stem_ids", "log_cost")}
        super().__init__(inputs=inputs, outputs=states, dtype=dtype, **kwargs)
        self.codes, self.width = codes, width
        self.layer_count, self.heads = layers, heads
        self.feed_forward = feed_forward
        self.visits, self.keep, self.demographics = visits, keep, demographics

    def _visit_outputs(self) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """A visit has an output in each date's year that it is part of."""
        tokens = self.get_layer(f"block_{self.layer_count - 1}").output
        chosen = self.get_layer("observation_year").output
        visits = keras.layers.Reshape((-1, self.width), dtype=self.dtype_policy)(
            tokens[:, :, 1:]
        )
        return visits, keras.layers.Reshape((-1,))(chosen)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the backbone."""
        return {
            **super().get_config(),
            "codes": self.codes,
            "width": self.width,
            "layers": self.layer_count,
            "heads": self.heads,
            "feed_forward": self.feed_forward,
            "visits": self.visits,
            "keep": self.keep,
            "demographics": self.demographics,
        }
