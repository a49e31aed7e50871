"""A pre-norm transformer block whose attention knows the days between tokens."""

from __future__ import annotations

import math
from typing import Any

import keras
import keras_hub
from keras import ops

from claimpt_tf.models.time import YEAR
from claimpt_tf.models.token_dense import TokenDense

SHORTEST, LONGEST = 30.0, 40 * YEAR  # periods of the rotation, in days


@keras.saving.register_keras_serializable("claimpt_tf")
class TemporalBlock(keras.layers.Layer):
    """Multi-head attention over continuous time, then a feed-forward network.

    Queries and keys are rotated by days, with periods from 30 days to 40 years
    (RoFormer, Su et al. 2021), and each head learns how fast it forgets; keras-hub's
    TransformerEncoder and TransformerDecoder know neither.

    Args:
      width: Width of tokens.
      heads: Number of attention heads; `width / heads` must be even.
      feed_forward: Width of the hidden layer.
      dropout: Rate on both residual branches.
      checkpoint: Whether training keeps only the block's inputs and computes the rest
        again for the gradient: less memory, about a third more time.

    Raises:
      ValueError: `width` is no even multiple of `heads`.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        feed_forward: int,
        dropout: float = 0.1,
        checkpoint: bool = False,
        **kwargs: Any,
    ) -> None:
        # Days must not be rounded to half precision with everything else.
        super().__init__(autocast=False, **kwargs)
        if width % heads or (width // heads) % 2:
            raise ValueError(f"width {width} must be an even multiple of heads {heads}")
        self.width, self.heads = width, heads
        self.feed_forward, self.dropout = feed_forward, dropout
        self.checkpoint = checkpoint
        size = width // heads
        # So that the slowest of the size / 2 clocks has the longest period.
        clocks = (LONGEST / SHORTEST) ** (size / max(size - 2, 1))
        self.rotate = keras_hub.layers.RotaryEmbedding(
            max_wavelength=clocks,
            scaling_factor=SHORTEST / (2 * math.pi),
            autocast=False,
            name="rotate",
            dtype=self.dtype_policy,
        )
        self.attention_norm = keras.layers.LayerNormalization(
            name="attention_norm", dtype=self.dtype_policy
        )
        self.qkv = TokenDense(
            3 * width, use_bias=False, name="qkv", dtype=self.dtype_policy
        )
        self.output_projection = TokenDense(
            width, name="output_projection", dtype=self.dtype_policy
        )
        self.norm = keras.layers.LayerNormalization(
            name="norm", dtype=self.dtype_policy
        )
        self.expand = TokenDense(
            feed_forward, "gelu", name="expand", dtype=self.dtype_policy
        )
        self.contract = TokenDense(width, name="contract", dtype=self.dtype_policy)
        self.drop = keras.layers.Dropout(dropout, name="drop", dtype=self.dtype_policy)

    def build(self, input_shape: Any) -> None:
        """Builds the parts; shapes are known from the arguments alone."""
        tokens = (None, None, self.width)
        for part in (self.attention_norm, self.qkv, self.norm, self.expand, self.drop):
            part.build(tokens)
        self.output_projection.build(tokens)
        self.contract.build((None, None, self.feed_forward))
        self.forgetting = self.add_weight(
            shape=(self.heads,),
            initializer=keras.initializers.RandomUniform(0.0, 1.0),
            name="forgetting",
        )
        self.built = True

    def call(
        self, tokens: Any, days: Any, visible: Any, training: bool | None = None
    ) -> Any:
        """Attends.

        Args:
          tokens: float [B, T, width].
          days: float32 [B, T], days since a reference of that person.
          visible: bool [B, T, T], whether token i may read token j.
          training: Whether dropout is on.

        Returns:
          float [B, T, width].
        """
        tokens = ops.cast(tokens, self.compute_dtype)
        # Drawn here, since a function that is computed twice may not draw twice.
        drops = [
            self.drop(ops.ones_like(tokens), training=True)
            for _ in range(2)
            if training and self.dropout
        ]

        def block(tokens: Any, *drops: Any) -> Any:
            attended = self._attend(self.attention_norm(tokens), days, visible)
            tokens = tokens + (attended * drops[0] if drops else attended)
            fed = self.contract(self.expand(self.norm(tokens)))
            return tokens + (fed * drops[1] if drops else fed)

        if training and self.checkpoint:
            block = keras.remat(block)
        return block(tokens, *drops)

    def _attend(self, x: Any, days: Any, visible: Any) -> Any:
        batch, length = ops.shape(x)[0], ops.shape(x)[1]
        size = self.width // self.heads
        qkv = ops.reshape(self.qkv(x), (batch, length, 3 * self.heads, size))
        both, value = ops.split(qkv, [2 * self.heads], axis=2)
        query, key = ops.split(self.rotate(both, positions=days), 2, axis=2)
        logits = ops.einsum("bihd,bjhd->bhij", query, key)
        logits = ops.cast(logits, "float32") / size**0.5
        between = ops.abs(days[:, :, None] - days[:, None, :])
        rate = ops.cast(ops.softplus(self.forgetting), "float32")
        logits -= rate[None, :, None, None] * ops.log1p(between / 30.0)[:, None]
        logits = ops.where(visible[:, None], logits, -1e9)
        weights = ops.cast(ops.softmax(logits, axis=-1), value.dtype)
        mixed = ops.einsum("bhij,bjhd->bihd", weights, value)
        mixed = ops.reshape(mixed, (batch, length, self.width))
        return self.output_projection(mixed)

    def compute_output_shape(self, tokens_shape: Any, *shapes: Any) -> tuple:
        """Like the tokens."""
        return tokens_shape

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "width": self.width,
            "heads": self.heads,
            "feed_forward": self.feed_forward,
            "dropout": self.dropout,
            "checkpoint": self.checkpoint,
        }
