"""What pre-training asks of the network; any weighted mix of it.

Every objective is a layer with its own head. It reads targets as `Occurrences` or as
ids, and scores only rows that count: real visits, followed-up dates, observed windows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
from keras import ops

from claimpt_tf.errors import ArtifactError
from claimpt_tf.models.category_head import CategoryHead
from claimpt_tf.models.time import YEAR
from claimpt_tf.models.timeline_backbone import TimelineBackbone
from claimpt_tf.models.window_head import WindowHead
from claimpt_tf.training.occurrences import NEVER, Occurrences, first_after
from claimpt_tf.training.recall import RecallAt
from claimpt_tf.training.sparse_loss import cross_entropy, hazard_loss
from claimpt_tf.training.targets import Targets

HORIZONS = (30, 90, 180, 365)
RECALL_WINDOW = 90
PIECES = (0, 30, 90, 180, 365)
RARE = -3.0  # where log-odds and log-rates a year begin: most targets are rare


@dataclass(frozen=True)
class View:
    """A batch, and what the network made of it.

    Attributes:
      inputs: The batch: inputs of the backbone, and `observed_to` int32 [B].
      state: float [B, Q, width].
      visits: float [B, S, width].
      visit_place: int32 [B, S], as `TimelineBackbone.with_visits` gives it.
      occurrences: Of all targets that an objective of the mix asks for.
      categories: int32 [B, V, C], category of each code, -1 for none.
      hidden: bool [B, V, C], codes that the network was not shown, or None.
    """

    inputs: Mapping[str, Any]
    state: Any
    visits: Any
    visit_place: Any
    occurrences: Occurrences
    categories: Any
    hidden: Any = None

    @property
    def followed(self) -> Any:
        """Days after each asked date of which everything is known, int32 [B, Q]."""
        return self.inputs["observed_to"][:, None] - self.inputs["query_day"]


class Objective(keras.layers.Layer, ABC):
    """A question that the claims themselves answer.

    Args:
      targets: What can be predicted.
      weight: Factor of the loss in the mix.
      rank: Width of the targets' vectors; None for the width of the states.

    Attributes:
      hides: Share of codes that the network is not shown.
      acute: Whether categories of acute visits are targets too, beside those of any.
    """

    hides = 0.0
    acute = False

    def __init__(
        self,
        targets: Targets,
        weight: float = 1.0,
        rank: int | None = 64,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.targets, self.weight, self.rank = targets, weight, rank
        self.mean_loss = keras.metrics.Mean(name=f"{self.name}_loss")

    @abstractmethod
    def prepare(self, backbone: TimelineBackbone) -> None:
        """Builds the head for a backbone.

        Raises:
          ArtifactError: The backbone cannot answer.
        """

    @abstractmethod
    def loss(self, view: View, evaluating: bool) -> Any:
        """Mean over rows that count and over targets.

        Args:
          view: The batch.
          evaluating: Whether metrics other than the loss are updated.

        Returns:
          float32 scalar, nats a target; 0 where no row counts.
        """


OBJECTIVES: dict[str, type[Objective]] = {}


def _named(name: str) -> Callable[[type[Objective]], type[Objective]]:
    def register(kind: type[Objective]) -> type[Objective]:
        OBJECTIVES[name] = kind
        return kind

    return register


@_named("windows")
class Windows(Objective):
    """Which targets come within 30, 90, 180 and 365 days of each asked date.

    A window is judged only where it is followed up to its end, whether the target
    came or not, so that censoring does not bias the rates.

    Args:
      horizons: Lengths of the windows in days.
    """

    acute = True

    def __init__(
        self,
        targets: Targets,
        weight: float = 1.0,
        rank: int | None = 64,
        horizons: Sequence[int] = HORIZONS,
        **kwargs: Any,
    ) -> None:
        super().__init__(targets, weight, rank, **kwargs)
        self.horizons = tuple(horizons)
        shown = RECALL_WINDOW if RECALL_WINDOW in self.horizons else self.horizons[0]
        self.shown = shown
        self.recall = RecallAt((10,), prefix="")
        self.recalls = self.recall.metrics

    def prepare(self, backbone: TimelineBackbone) -> None:
        """Builds the head."""
        self.head = WindowHead(
            len(self.targets.names),
            len(self.horizons),
            self.rank or backbone.width,
            RARE,
            name="window_head",
        )
        self.head.build((None, None, backbone.width))
        self.built = True

    def loss(self, view: View, evaluating: bool) -> Any:
        """See `Objective.loss`."""
        features = _rows(self.head.features(view.state))
        followed = ops.reshape(view.followed, (-1,))
        asked = view.inputs["query_day"]
        came = first_after(view.occurrences, asked, self.head.targets)
        total, count = 0.0, 0.0
        for number, horizon in enumerate(self.horizons):
            judged, packed = _packed(followed >= horizon)
            row, target = _within(came, packed, horizon)
            scored = ops.take(features[:, number], judged, axis=0)
            head = scored, self.head.vectors, self.head.bias[number]
            total += cross_entropy(*head, (row, target))
            count += ops.cast(ops.shape(judged)[0], "float32")
            if evaluating and horizon == self.shown:
                self.recall.update(*head, row, target)
        return total / (ops.maximum(count, 1.0) * self.head.targets)


@_named("next_visit")
class NextVisit(Objective):
    """The categories of the next visit: of all visits on the next day that has any.

    Args:
      positions: "last" asks the state on each asked date, the last position of what
        is known by then (the paper); "every" asks each visit's output as well.
    """

    def __init__(
        self,
        targets: Targets,
        weight: float = 1.0,
        rank: int | None = 64,
        positions: Literal["last", "every"] = "every",
        **kwargs: Any,
    ) -> None:
        super().__init__(targets, weight, rank, **kwargs)
        if positions not in ("last", "every"):
            raise ArtifactError(
                f"next_visit: positions must be last or every, not {positions!r}"
            )
        self.positions = positions
        self.recall = RecallAt((5, 10, 30), prefix="next_visit_")
        self.recalls = self.recall.metrics

    def prepare(self, backbone: TimelineBackbone) -> None:
        """Builds the head."""
        if self.positions == "every" and not backbone.causal:
            raise ArtifactError(
                f"next_visit at every position would read the answer: a visit's output "
                f"in {type(backbone).__name__} reads later visits; "
                "set positions to last"
            )
        self.head = CategoryHead(self.targets.categories, self.rank, name="visit_head")
        self.head.build((None, None, backbone.width))
        self.built = True

    def loss(self, view: View, evaluating: bool) -> Any:
        """See `Objective.loss`."""
        inputs = view.inputs
        asked, states = inputs["query_day"], view.state
        if self.positions == "every":
            known = inputs["visit_day"] + inputs["visit_length"]
            real = view.visit_place >= 0
            asked = ops.concatenate([ops.where(real, known, NEVER), asked], axis=1)
            states = ops.concatenate([view.visits, states], axis=1)
        starts = ops.where(inputs["visit_type"] > 0, inputs["visit_day"], NEVER)
        later = ops.where(
            starts[:, None, :] > asked[:, :, None], starts[:, None, :], NEVER
        )
        ahead = ops.reshape(ops.min(later, axis=-1), (-1,))
        judged, packed = _packed(ahead < NEVER)
        ahead = ahead - ops.reshape(asked, (-1,))
        row, target, days = first_after(view.occurrences, asked, self.head.categories)
        on_it = days <= ops.take(ahead, row, axis=0)
        row, target = _within((row, target, ops.where(on_it, 0, 1)), packed, 0)
        scored = ops.take(_rows(states), judged, axis=0)
        head = self.head.features(scored), self.head.vectors, self.head.bias
        if evaluating:
            self.recall.update(*head, row, target)
        return _mean(cross_entropy(*head, (row, target)), judged, self.head)


@_named("category")
class CategoryOfVisit(Objective):
    """The categories of a visit's own codes, from that visit's output.

    Args:
      masked: Share of codes that the network is not shown. A visit is then asked for
        the categories of its hidden codes, and those that a code in sight gives away
        are not judged. 0 shows every code and asks for all of them (the paper).
    """

    def __init__(
        self,
        targets: Targets,
        weight: float = 1.0,
        rank: int | None = 64,
        masked: float = 0.15,
        **kwargs: Any,
    ) -> None:
        super().__init__(targets, weight, rank, **kwargs)
        if not 0 <= masked < 1:
            raise ArtifactError(f"category: masked must be in [0, 1), not {masked}")
        self.masked = self.hides = masked

    def prepare(self, backbone: TimelineBackbone) -> None:
        """Builds the head."""
        self.head = CategoryHead(self.targets.categories, self.rank, name="code_head")
        self.head.build((None, None, backbone.width))
        self.built = True

    def loss(self, view: View, evaluating: bool) -> Any:
        """See `Objective.loss`."""
        total = ops.shape(view.categories)[1]
        patient = ops.arange(ops.shape(view.visit_place)[0], dtype="int32")[:, None]
        visit = ops.reshape(patient * total + view.visit_place, (-1,))
        judged = ops.reshape(view.visit_place >= 0, (-1,))
        categories, hidden = _rows(view.categories), None
        if self.masked:
            hidden = ops.logical_and(_rows(view.hidden), categories >= 0)
            asks = ops.take(ops.any(hidden, axis=-1), ops.maximum(visit, 0), axis=0)
            judged = ops.logical_and(judged, asks)
        judged, _ = _packed(judged)
        visit = ops.take(visit, judged, axis=0)
        categories = ops.take(categories, visit, axis=0)
        if hidden is not None:
            hidden = ops.take(hidden, visit, axis=0)
        asked, shown = _distinct(categories, hidden)
        scored = ops.take(_rows(view.visits), judged, axis=0)
        head = self.head.features(scored), self.head.vectors, self.head.bias
        return _mean(cross_entropy(*head, asked, shown), judged, self.head)


@_named("time_to_event")
class TimeToEvent(Objective):
    """When each frequent category comes next: piecewise exponential hazards (MOTOR).

    Steinberg, Fries, Xu, Shah, "MOTOR" (ICLR 2024). From each asked date on, follow-up
    ends with the event or, censored, on the last observed day.

    Args:
      pieces: First day of each piece; rates are constant within one, and the last
        piece is open.
      most: At most so many categories, the most frequent ones.
    """

    def __init__(
        self,
        targets: Targets,
        weight: float = 1.0,
        rank: int | None = 64,
        pieces: Sequence[int] = PIECES,
        most: int = 512,
        **kwargs: Any,
    ) -> None:
        super().__init__(targets, weight, rank, **kwargs)
        if list(pieces) != sorted(set(pieces)) or not pieces or pieces[0] != 0:
            raise ArtifactError(
                f"time_to_event: pieces must ascend from day 0, not {list(pieces)}"
            )
        self.pieces, self.most = tuple(pieces), most

    def prepare(self, backbone: TimelineBackbone) -> None:
        """Builds the head."""
        self.head = WindowHead(
            min(self.targets.categories, self.most),
            len(self.pieces),
            self.rank or backbone.width,
            RARE,
            name="hazard_head",
        )
        self.head.build((None, None, backbone.width))
        self.built = True

    def loss(self, view: View, evaluating: bool) -> Any:
        """See `Objective.loss`; rates are per year."""
        features = _rows(self.head.features(view.state))
        followed = ops.reshape(view.followed, (-1,))
        row, target, days = first_after(
            view.occurrences, view.inputs["query_day"], self.head.targets
        )
        seen = ops.nonzero(days <= ops.take(followed, row, axis=0))[0]
        row, target, days = (ops.take(x, seen, axis=0) for x in (row, target, days))
        total = 0.0
        for number, start in enumerate(self.pieces):
            end = (*self.pieces, NEVER)[number + 1]
            judged, packed = _packed(followed > start)
            # An event that came earlier takes its row out of this piece's risk.
            place = ops.take(packed, row, axis=0)
            among = ops.nonzero(place >= 0)[0]
            place, kind, when = (
                ops.take(x, among, axis=0) for x in (place, target, days)
            )
            log_rate = (
                ops.take(features[:, number], judged, axis=0),
                self.head.vectors,
                self.head.bias[number],
            )
            total += hazard_loss(
                log_rate,
                _years(ops.take(followed, judged, axis=0), start, end),
                (
                    place,
                    kind,
                    _years(when, start, end),
                    ops.cast(ops.logical_and(when > start, when <= end), "float32"),
                ),
            )
        rows = ops.sum(ops.cast(followed > 0, "float32"))
        return total / (ops.maximum(rows, 1.0) * self.head.targets)


def make_objectives(
    mix: Mapping[str, float | Mapping[str, Any]], targets: Targets
) -> list[Objective]:
    """The objectives of a mix.

    Args:
      mix: Names of OBJECTIVES, each with its weight, or with a mapping of its
        arguments, `weight` among them.
      targets: What can be predicted.

    Raises:
      ArtifactError: "there is no objective 'x'; choose of windows, next_visit,
        category, time_to_event", or an argument does not fit.

    Example:
      >>> targets = Targets(["CCSR:RSP009"], [-1, -1, -1, 0], [-1, -1, -1, -1])
      >>> mix = {"windows": 1.0, "category": {"weight": 0.5, "masked": 0.2}}
      >>> [o.weight for o in make_objectives(mix, targets)]
      [1.0, 0.5]
    """
    made = []
    for name, chosen in mix.items():
        if name not in OBJECTIVES:
            raise ArtifactError(
                f"there is no objective {name!r}; choose of {', '.join(OBJECTIVES)}"
            )
        options = chosen if isinstance(chosen, Mapping) else {"weight": chosen}
        try:
            made.append(OBJECTIVES[name](targets, name=name, **options))
        except (TypeError, ValueError) as error:
            raise ArtifactError(
                f"objective {name} cannot be made of {dict(options)}: {error}"
            ) from error
    return made


def default_mix(preset: str) -> dict[str, Any]:
    """What a preset is pre-trained on where nothing else is said.

    Args:
      preset: A key of `claimpt_tf.models.presets.PRESETS`.
    """
    if preset == "paper":
        return {
            "next_visit": {"rank": None, "positions": "last"},
            "category": {"rank": None, "masked": 0.0},
        }
    return {"windows": 1.0}


def _rows(values: Any) -> Any:
    """[B, P, ...] to [B * P, ...]."""
    return ops.reshape(values, (-1, *ops.shape(values)[2:]))


def _packed(keep: Any) -> tuple[Any, Any]:
    """Places of rows that count, and each row's number among them.

    Args:
      keep: bool [R].

    Returns:
      int32 [N], and int32 [R] that is -1 for rows that do not count.
    """
    number = ops.cumsum(ops.cast(keep, "int32")) - 1
    return ops.nonzero(keep)[0], ops.where(keep, number, -1)


def _within(came: tuple[Any, Any, Any], packed: Any, days: int) -> tuple[Any, Any]:
    """Packed row and target of what came within `days`, in rows that count."""
    row, target, ahead = came
    row = ops.take(packed, row, axis=0)
    kept = ops.nonzero(ops.logical_and(row >= 0, ahead <= days))[0]
    return ops.take(row, kept, axis=0), ops.take(target, kept, axis=0)


def _distinct(categories: Any, hidden: Any) -> tuple[Any, Any]:
    """Pairs of row and category, each once: those to tell, and those in sight.

    Args:
      categories: int32 [N, C], -1 for none.
      hidden: bool [N, C], or None where all are to be told.

    Returns:
      Two pairs of int32 rows and categories; the second is None without `hidden`.
    """
    key = categories * 2
    if hidden is not None:
        key = key + ops.cast(hidden, "int32")  # in sight sorts before hidden
    key = ops.sort(key, axis=-1)
    category = ops.floor_divide(key, 2)
    before = ops.concatenate([ops.full_like(key[:, :1], -1), category[:, :-1]], axis=1)
    first = ops.logical_and(category >= 0, ops.not_equal(category, before))
    if hidden is None:
        return _pairs(first, category), None
    told = ops.equal(key, category * 2 + 1)
    return (
        _pairs(ops.logical_and(first, told), category),
        _pairs(ops.logical_and(first, ops.logical_not(told)), category),
    )


def _pairs(mask: Any, values: Any) -> tuple[Any, Any]:
    row, column = ops.nonzero(mask)
    cell = row * ops.shape(values)[1] + column
    return row, ops.take(ops.reshape(values, (-1,)), cell, axis=0)


def _mean(total: Any, judged: Any, head: CategoryHead) -> Any:
    rows = ops.cast(ops.shape(judged)[0], "float32")
    return total / (ops.maximum(rows, 1.0) * head.categories)


def _years(days: Any, start: int, end: int) -> Any:
    return ops.cast(ops.clip(days - start, 0, end - start), "float32") / YEAR
