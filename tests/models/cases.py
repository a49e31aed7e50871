"""One sample of each layer and model, and what its outputs belong to."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

import claimpt_tf.models as room
from claimpt_tf.models.backbone import ClaimBackbone
from claimpt_tf.models.category_head import CategoryHead
from claimpt_tf.models.classification_head import ClassificationHead
from claimpt_tf.models.decayed_counts import COUNTED, DecayedCounts
from claimpt_tf.models.gru_backbone import GruBackbone
from claimpt_tf.models.index_token import IndexToken
from claimpt_tf.models.observation_year import ObservationYear
from claimpt_tf.models.paper_backbone import PaperBackbone
from claimpt_tf.models.paper_embedding import PaperEmbedding
from claimpt_tf.models.post_norm_block import PostNormBlock
from claimpt_tf.models.risk_head import RiskHead
from claimpt_tf.models.risk_model import RiskModel
from claimpt_tf.models.row_embedding import RowEmbedding
from claimpt_tf.models.temporal_block import TemporalBlock
from claimpt_tf.models.token_dense import TokenDense
from claimpt_tf.models.token_order import AskedTokens, KnownBy, VisitTokens
from claimpt_tf.models.tree_ensemble import NO_LEAF, TreeEnsemble
from claimpt_tf.models.visit_embedding import VisitEmbedding
from claimpt_tf.models.visit_gru import VisitGru
from claimpt_tf.models.window_head import WindowHead
from tests.models.batch import CODES, STEMS

WIDTH, DAYS = 8, 365
Arrays = dict[str, np.ndarray]


def discovered() -> dict[str, type[keras.Layer]]:
    """Every layer and model class of the room that is not only a base of others."""
    found = {}
    for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if (
                isinstance(value, type)
                and issubclass(value, keras.Layer)
                and value.__module__ == module.name
            ):
                found[value.__name__] = value
    bases = {base for kind in found.values() for base in kind.__mro__[1:]}
    return {name: kind for name, kind in found.items() if kind not in bases}


@dataclass(frozen=True)
class Case:
    """A sample.

    Attributes:
      make: Builds it of a dtype policy.
      reads: Names of its arguments among `arguments`; empty for models, which take the
        dict of backbone inputs.
      gives: What each output belongs to: visits, dates, tokens (visits, then dates),
        pairs (of tokens), year (visits of each date's year) or person_year (the same
        after a token of the person). Models' outputs are in the order of their names.
    """

    make: Callable[[Any], keras.Layer]
    reads: str
    gives: str


def claim_backbone(dtype: Any) -> ClaimBackbone:
    return ClaimBackbone(CODES, STEMS, width=WIDTH, layers=1, heads=2, dtype=dtype)


def paper_backbone(dtype: Any) -> PaperBackbone:
    return PaperBackbone(CODES, width=WIDTH, visits=4, dtype=dtype)


def gru_backbone(dtype: Any) -> GruBackbone:
    return GruBackbone(CODES, STEMS, width=WIDTH, dtype=dtype)


def decayed_counts(dtype: Any) -> DecayedCounts:
    layer = DecayedCounts(CODES, 9, dtype=dtype)
    layer.build()
    drawn = np.random.default_rng(2).integers(-1, 9, (CODES, 3))
    drawn[0] = -1
    layer.column_of.assign(drawn)
    return layer


def stumps(dtype: Any) -> TreeEnsemble:
    """Two trees: a stump on feature 1, and one with three leaves on 0 and 2."""
    layer = TreeEnsemble(2, 3, dtype=dtype)
    layer.build(None)
    layer.feature.assign([[1, 0], [0, 2]])
    layer.threshold.assign([[0.3, 0], [0.1, -0.2]])
    layer.paths.assign([[[1, -1, 0], [0, 0, 0]], [[1, -1, -1], [0, 1, -1]]])
    layer.depth.assign([[1, 1, NO_LEAF], [1, 2, 2]])
    layer.value.assign([[0.5, -0.5, 0], [1, 2, 4]])
    return layer


CASES = {
    "AskedTokens": Case(lambda d: AskedTokens(dtype=d), "tokens query_day", "dates"),
    "CategoryHead": Case(lambda d: CategoryHead(7, 4, dtype=d), "visits", "visits"),
    "ClaimBackbone": Case(claim_backbone, "", "dates"),
    "ClassificationHead": Case(
        lambda d: ClassificationHead(6, dtype=d), "states", "dates"
    ),
    "DecayedCounts": Case(decayed_counts, " ".join(COUNTED), "dates"),
    "GruBackbone": Case(gru_backbone, "", "dates"),
    "IndexToken": Case(
        lambda d: IndexToken(WIDTH, dtype=d),
        "visits known_day padded query_day sex birth_day",
        "dates",
    ),
    "KnownBy": Case(lambda d: KnownBy(dtype=d), "known_day padded query_day", "pairs"),
    "ObservationYear": Case(
        lambda d: ObservationYear(4, dtype=d), "known_day padded query_day", "year"
    ),
    "PaperBackbone": Case(paper_backbone, "", "dates"),
    "PaperEmbedding": Case(
        lambda d: PaperEmbedding(CODES, WIDTH, dtype=d),
        "code_ids visit_type known_day chosen query_day sex birth_day",
        "person_year",
    ),
    "PostNormBlock": Case(
        lambda d: PostNormBlock(WIDTH, 2, 6, dtype=d), "year_tokens real", "year"
    ),
    "RiskHead": Case(lambda d: RiskHead(dtype=d), "states", "dates"),
    "RiskModel": Case(lambda d: RiskModel(claim_backbone(d)), "", "dates dates"),
    "RiskModel with trees": Case(
        lambda d: RiskModel(
            claim_backbone(d), counts=decayed_counts(d), trees=stumps(d)
        ),
        "",
        "dates dates",
    ),
    "RowEmbedding": Case(
        lambda d: RowEmbedding(6, WIDTH, dtype=d), "visit_type", "visits"
    ),
    "TemporalBlock": Case(
        lambda d: TemporalBlock(WIDTH, 2, 16, dtype=d), "tokens days visible", "tokens"
    ),
    "TokenDense": Case(lambda d: TokenDense(5, "relu", dtype=d), "visits", "visits"),
    "TreeEnsemble": Case(stumps, "states", "dates"),
    "VisitEmbedding": Case(
        lambda d: VisitEmbedding(CODES, STEMS, WIDTH, dtype=d),
        "code_ids stem_ids visit_type visit_day visit_length log_cost birth_day",
        "visits",
    ),
    "VisitGru": Case(
        lambda d: VisitGru(WIDTH, dtype=d),
        "visits known_day padded query_day sex birth_day",
        "visits dates",
    ),
    "VisitTokens": Case(
        lambda d: VisitTokens(dtype=d), "tokens visit_type", "visits visits"
    ),
    "WindowHead": Case(lambda d: WindowHead(7, 3, 4, dtype=d), "states", "dates"),
    "ClaimBackbone without days": Case(
        lambda d: ClaimBackbone(CODES, STEMS, WIDTH, 1, 2, timed=False, dtype=d),
        "",
        "dates",
    ),
    # Not classes of their own, but what is trained and what is served.
    "ClaimBackbone.with_visits": Case(
        lambda d: claim_backbone(d).with_visits(), "", "dates visits visits"
    ),
    "PaperBackbone.with_visits": Case(
        lambda d: paper_backbone(d).with_visits(), "", "dates year year"
    ),
    "RiskModel on PaperBackbone": Case(
        lambda d: RiskModel(paper_backbone(d)), "", "dates dates"
    ),
}


def arguments(inputs: Arrays) -> Arrays:
    """What any layer may read, from the inputs of a backbone."""
    known = inputs["visit_day"] + inputs["visit_length"]
    padded, asked = inputs["visit_type"] == 0, inputs["query_day"]
    table = np.random.default_rng(1).normal(size=(CODES, WIDTH))
    table[0] = 0
    visits = table[inputs["code_ids"]].sum(2) + inputs["visit_type"][..., None] / 5
    states = table[asked % CODES]
    days = np.concatenate([known, asked], 1)
    real = np.concatenate([~padded, np.zeros_like(asked, bool)], 1)
    visible = (days[:, None] <= days[..., None]) & real[:, None]
    visible |= np.eye(days.shape[1], dtype=bool)
    ago = asked[..., None] - known[:, None]
    inside = (ago >= 0) & (ago < DAYS) & ~padded[:, None]
    place = np.where(inside, np.arange(known.shape[1]), 10_000)
    place = np.sort(place, -1)[..., :4]
    chosen = np.where(place < 10_000, place, -1)
    at = (np.arange(len(known))[:, None, None], np.maximum(chosen, 0))
    made = {
        "known_day": known,
        "padded": padded,
        "visits": visits,
        "states": states,
        "tokens": np.concatenate([visits, states], 1),
        "days": days - inputs["birth_day"][:, None].astype("float64"),
        "visible": visible,
        "chosen": chosen,
        "year_tokens": visits[at],
        "real": chosen >= 0,
    }
    types = {"f": "float32", "i": "int32", "b": "bool"}
    made = {name: value.astype(types[value.dtype.kind]) for name, value in made.items()}
    return {**inputs, **made}


def outputs_of(case: Case, layer: keras.Layer, inputs: Arrays) -> list[np.ndarray]:
    """Every output, in the order of `case.gives`."""
    given = arguments(inputs)
    if case.reads:
        out = layer(*(given[name] for name in case.reads.split()))
    else:
        out = layer({name: given[name] for name in layer.input})
    if isinstance(out, dict):
        out = [out[name] for name in sorted(out)]
    out = out if isinstance(out, (list, tuple)) else [out]
    return [keras.ops.convert_to_numpy(one) for one in out]


def by_position(kind: str, out: np.ndarray, inputs: Arrays) -> tuple[Any, Any, Any]:
    """An output as rows, the day that each stands on, and whether it is real."""
    given = arguments(inputs)
    known, real = given["known_day"], ~given["padded"]
    asked = given["query_day"]
    always = np.ones_like(asked, bool)
    if kind in ("tokens", "pairs"):
        day = np.concatenate([known, asked], 1)
        real = np.concatenate([real, always], 1)
    elif kind == "visits":
        day = known
    else:
        day, real = asked, always
    if kind == "pairs":
        day = np.maximum(day[..., None], day[:, None])
        real = real[..., None] & real[:, None]
    if kind in ("year", "person_year"):
        real = given["real"]
        if kind == "person_year":
            real = np.concatenate([always[..., None], real], -1)
        day = np.broadcast_to(asked[..., None], real.shape)
    return out.reshape(day.size, -1), day.reshape(-1), real.reshape(-1)
