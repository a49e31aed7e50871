"""Which visits the published network reads: those of the year before a date."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

Keep = Literal["earliest", "latest"]


@keras.saving.register_keras_serializable("claimpt_tf")
class ObservationYear(keras.layers.Layer):
    """Chooses at most `visits` visits of the observation year that ends on a date.

    Args:
      visits: Most visits of a year.
      keep: Which ones stay of a longer year; the paper keeps the earliest.
      days: Length of the year.

    Raises:
      ValueError: `keep` is neither "earliest" nor "latest".
    """

    def __init__(
        self, visits: int = 30, keep: Keep = "earliest", days: int = 365, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if keep not in ("earliest", "latest"):
            raise ValueError(f"keep must be earliest or latest, not {keep!r}")
        self.visits, self.keep, self.days = visits, keep, days
        self.built = True

    def call(self, known_day: Any, padded: Any, query_day: Any) -> Any:
        """Chooses.

        Args:
          known_day: int32 [B, V], last day of each visit.
          padded: bool [B, V], True where there is no visit.
          query_day: int32 [B, Q], last day of each year.

        Returns:
          int32 [B, Q, S], S = min(V, visits): places of the chosen visits among V, in
          the order of the timeline, and -1 where there are fewer.
        """
        ago = query_day[:, :, None] - known_day[:, None, :]
        inside = ops.logical_and(ago >= 0, ago < self.days)
        inside = ops.logical_and(inside, ops.logical_not(padded)[:, None, :])
        total = ops.shape(known_day)[1]
        place = ops.arange(total, dtype="int32")
        if self.keep == "latest":
            return ops.sort(ops.where(inside, place, -1), axis=-1)[..., -self.visits :]
        chosen = ops.sort(ops.where(inside, place, total), axis=-1)
        chosen = chosen[..., : self.visits]
        return ops.where(chosen < total, chosen, -1)

    def compute_output_shape(
        self, known_day_shape: Any, padded_shape: Any, query_day_shape: Any
    ) -> tuple:
        """[B, Q, S]."""
        total = known_day_shape[1]
        return (*query_day_shape, None if total is None else min(total, self.visits))

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "visits": self.visits,
            "keep": self.keep,
            "days": self.days,
        }
