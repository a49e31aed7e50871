"""Kinds of labels that can be judged besides yes and no."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from claimpt_tf.evaluation.endpoints.judged import Judged
from claimpt_tf.evaluation.endpoints.multi_class import MultiClass
from claimpt_tf.evaluation.endpoints.multi_label import MultiLabel
from claimpt_tf.evaluation.endpoints.regression import Regression
from claimpt_tf.evaluation.endpoints.time_to_event import TimeToEvent

JUDGED: Final[Mapping[str, type[Judged]]] = {
    one.kind: one for one in (MultiClass, MultiLabel, Regression, TimeToEvent)
}
