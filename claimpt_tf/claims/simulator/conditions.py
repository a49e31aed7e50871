"""All conditions together, in the fixed order in which they are numbered."""

from __future__ import annotations

from claimpt_tf.claims.simulator.chronic_body import BODY
from claimpt_tf.claims.simulator.chronic_mind import MIND
from claimpt_tf.claims.simulator.condition import Chronic, Episode
from claimpt_tf.claims.simulator.episodes import EPISODES

CHRONIC: tuple[Chronic, ...] = BODY + MIND
ACUTE: tuple[Episode, ...] = EPISODES
# Other reasons for a visit, after the conditions.
OCCASIONS = (
    "well_child",
    "flu_shot",
    "dental",
    "birth",
    "crisis",
    "follow_up",
    "asthma_exacerbation",
    "self_harm",
)
REASONS: tuple[str, ...] = (
    *(c.name for c in CHRONIC),
    *(e.name for e in ACUTE),
    *OCCASIONS,
)
REASON = {name: number for number, name in enumerate(REASONS)}
