"""The published network's tokens: one of the person, then one a visit."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from claimpt_tf.models.row_embedding import RowEmbedding
from claimpt_tf.models.time import YEAR

FIRST_AGE = 3  # 0 sex unknown, 1 female, 2 male, then one id a year of age
# Published ids 1 inpatient, 2 pharmacy, 3 outpatient of our IP, ED, OP, RX, OTHER.
UTILISATION = (0, 1, 3, 3, 2, 3)


@keras.saving.register_keras_serializable("claimpt_tf")
class PaperEmbedding(keras.layers.Layer):
    """Sums embeddings: age and sex at position 0, then codes, date and utilisation.

    Args:
      codes: Size of the code vocabulary, special ids included.
      width: Width of the vectors.
      demographics: Size of the vocabulary that sexes and years of age share; who is
        older than the last of them counts as that old.
      days: Days of the observation year; dates have ids 1 to `days`.
    """

    def __init__(
        self,
        codes: int,
        width: int = 100,
        demographics: int = 24,
        days: int = 365,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.codes, self.width = codes, width
        self.demographics, self.days = demographics, days
        sizes = {
            "code": codes,
            "demographic": demographics,
            "date": days + 1,
            "utilisation": max(UTILISATION) + 1,
        }
        for name, size in sizes.items():
            table = RowEmbedding(size, width, name=name, dtype=self.dtype_policy)
            setattr(self, name, table)

    def build(self, *shapes: Any) -> None:
        """Builds the tables; shapes are known from the arguments alone."""
        for table in (self.code, self.demographic, self.date, self.utilisation):
            table.build((None,))
        self.built = True

    def call(
        self, code_ids: Any, visit_type: Any, known_day: Any, chosen: Any,
        query_day: Any, sex: Any, birth_day: Any,
    ) -> Any:  # fmt: skip
        """Embeds.

        Args:
          code_ids: int32 [B, V, C], 0 is padding.
          visit_type: int32 [B, V], 0 is padding.
          known_day: int32 [B, V], last day of each visit.
          chosen: int32 [B, Q, S], places of visits among V, -1 for none.
          query_day: int32 [B, Q].
          sex: int32 [B].
          birth_day: int32 [B].

        Returns:
          float [B, Q, 1 + S, width].
        """
        present = ops.cast(ops.not_equal(code_ids, 0), self.compute_dtype)
        visits = ops.sum(self.code(code_ids) * present[..., None], axis=2)
        kind = ops.take(ops.convert_to_tensor(UTILISATION, "int32"), visit_type)
        visits = visits + self.utilisation(kind)
        patients, total = ops.shape(code_ids)[:2]
        row = ops.arange(patients, dtype="int32")[:, None, None] * total
        place = row + ops.maximum(chosen, 0)
        visits = ops.take(ops.reshape(visits, (-1, self.width)), place, axis=0)
        day = ops.take(ops.reshape(known_day, (-1,)), place, axis=0)
        date = ops.clip(self.days - (query_day[..., None] - day), 0, self.days)
        visits = visits + self.date(date)
        age = ops.cast(query_day - birth_day[:, None], "float32") / YEAR
        oldest = self.demographics - FIRST_AGE - 1
        age = ops.cast(ops.clip(ops.floor(age), 0, oldest), "int32")
        person = self.demographic(FIRST_AGE + age) + self.demographic(sex)[:, None]
        return ops.concatenate([person[:, :, None], visits], axis=2)

    def compute_output_shape(
        self, code_ids_shape: Any, visit_type_shape: Any, known_day_shape: Any,
        chosen_shape: Any, *shapes: Any,
    ) -> tuple:  # fmt: skip
        """[B, Q, 1 + S, width]."""
        batch, dates, kept = chosen_shape
        return (batch, dates, None if kept is None else kept + 1, self.width)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "codes": self.codes,
            "width": self.width,
            "demographics": self.demographics,
            "days": self.days,
        }
