"""The network that everybody's claims pre-train: visits and dates in, states out."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from claimpt_tf.models.index_token import IndexToken
from claimpt_tf.models.inputs import VISIT_INPUTS, backbone_inputs
from claimpt_tf.models.temporal_block import TemporalBlock
from claimpt_tf.models.timeline_backbone import TimelineBackbone
from claimpt_tf.models.token_order import AskedTokens, KnownBy, VisitTokens
from claimpt_tf.models.visit_embedding import VisitEmbedding


@keras.saving.register_keras_serializable("claimpt_tf")
class ClaimBackbone(TimelineBackbone):
    """A causal transformer over visits that answers for any date.

    Visits and asked dates are tokens of one sequence, V visits then Q dates. A visit is
    read only by dates and visits not before its last day; a date by nobody else.

    Args:
      codes: Size of the code vocabulary, special ids included.
      stems: Size of the stem vocabulary, special ids included.
      width: Width of visit vectors and states.
      layers: Number of blocks.
      heads: Attention heads a block.
      feed_forward: Hidden width of the blocks.
      dropout: Rate in embeddings and blocks.
      checkpoint: Whether blocks are computed again for the gradient, to save memory.
      timed: Whether the network is told of days: age, season, days between visits and
        to the date. Without, it knows only which visits came before (an ablation).

    Example:
      >>> backbone = ClaimBackbone(codes=50, stems=20, width=16, layers=1, heads=2)
      >>> backbone.output_shape
      (None, None, 16)
    """

    causal = True
    sizes = {
        "tiny": {"width": 32, "layers": 1, "heads": 2},  # tests
        "small": {"width": 96, "layers": 2, "heads": 4},  # a laptop, minutes
        "base": {"width": 256, "layers": 6, "heads": 8, "checkpoint": True},  # a GPU
    }

    def __init__(
        self,
        codes: int,
        stems: int,
        width: int = 96,
        layers: int = 2,
        heads: int = 4,
        feed_forward: int | None = None,
        dropout: float = 0.1,
        checkpoint: bool = False,
        timed: bool = True,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        feed_forward = feed_forward or 2 * width
        inputs = backbone_inputs()
        embed = VisitEmbedding(
            codes, stems, width, dropout=dropout, dtype=dtype, name="visit_embedding"
        )
        told = dict(inputs)
        if not timed:
            told = {n: ops.zeros_like(x) if "day" in n else x for n, x in told.items()}
        visits = embed(
            told["code_ids"],
            told["stem_ids"],
            *(told[name] for name in VISIT_INPUTS),
            birth_day=told["birth_day"],
        )
        known_day = inputs["visit_day"] + inputs["visit_length"]
        padded = ops.equal(inputs["visit_type"], 0)
        asked = inputs["query_day"]
        dates = IndexToken(width, timed=timed, dtype=dtype, name="index_token")(
            visits, known_day, padded, asked, inputs["sex"], inputs["birth_day"]
        )
        visible = KnownBy(name="known_by")(known_day, padded, asked)
        tokens = ops.concatenate([visits, dates], axis=1)
        days = ops.concatenate([known_day, asked], axis=1)
        days = ops.cast(days - ops.expand_dims(inputs["birth_day"], 1), "float32")
        if not timed:
            days = ops.zeros_like(days)
        for number in range(layers):
            block = TemporalBlock(
                width,
                heads,
                feed_forward,
                dropout,
                checkpoint,
                dtype=dtype,
                name=f"block_{number}",
            )
            tokens = block(tokens, days, visible)
        tokens = keras.layers.LayerNormalization(dtype=dtype, name="final_norm")(tokens)
        states = AskedTokens(dtype=dtype, name="asked_tokens")(tokens, asked)
        super().__init__(inputs=inputs, outputs=states, dtype=dtype, **kwargs)
        self.codes, self.stems, self.width = codes, stems, width
        self.layer_count, self.heads = layers, heads
        self.feed_forward, self.dropout = feed_forward, dropout
        self.checkpoint, self.timed = checkpoint, timed

    def _visit_outputs(self) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        tokens = self.get_layer("final_norm").output
        visits = VisitTokens(dtype=self.dtype_policy, name="visit_tokens")
        return visits(tokens, self.input["visit_type"])

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the backbone."""
        return {
            **super().get_config(),
            "codes": self.codes,
            "stems": self.stems,
            "width": self.width,
            "layers": self.layer_count,
            "heads": self.heads,
            "feed_forward": self.feed_forward,
            "dropout": self.dropout,
            "checkpoint": self.checkpoint,
            "timed": self.timed,
        }
