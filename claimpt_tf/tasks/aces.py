"""Import of task files of ACES, as far as claims can answer what they ask.

ACES (Xu et al., ICLR 2025, arXiv 2406.19653) describes cohorts on streams of
timestamped events: predicates, a trigger, and windows around it. Claims are visits
with days: whatever asks for values, deaths, hours or the time within a stay does not
map, and is refused with its line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

import yaml
from pydantic import ValidationError

from claimpt_tf.errors import TaskError
from claimpt_tf.tasks.aces_codes import DoesNotMapError, match_of_code, match_of_regex
from claimpt_tf.tasks.criteria import VisitMatch
from claimpt_tf.tasks.spec import Task, label_task
from claimpt_tf.yaml_lines import load_yaml, read_yaml

_ANY: Final = "_ANY_EVENT"
_VISIT_TYPES: Final = ("IP", "ED", "OP", "RX", "OTHER")
_FIELDS: Final = (
    "predicates", "patient_demographics", "trigger", "trigger_event", "windows",
    "description", "metadata",
)  # fmt: skip
_SEXES: Final = {"f": "F", "female": "F", "m": "M", "male": "M"}
_DAYS: Final = {
    "d": 1, "day": 1, "days": 1, "w": 7, "week": 7, "weeks": 7,
    "y": 365, "yr": 365, "year": 365, "years": 365,
    "h": 1 / 24, "hr": 1 / 24, "hour": 1 / 24, "hours": 1 / 24,
}  # fmt: skip
_STEP = re.compile(r"\s*([\w.]+)\s*(?:(\+|-(?!>)|->|<-)\s*(.+?)\s*)?")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
_RANGE = re.compile(r"[(\[]\s*(None|null|\d*)\s*,\s*(None|null|\d*)\s*[)\]]")


@dataclass(frozen=True)
class Imported:
    """A task from an ACES file.

    Attributes:
        task: the task.
        notes: what it means a little differently here, for a person to read.
    """

    task: Task
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Point:
    """A moment: days after the trigger, or the start or end of the record."""

    anchor: str  # "trigger", "record" or the name of a predicate that is sought
    days: int = 0


@dataclass
class _File:
    """The parsed file, its lines, and what was noted."""

    source: str
    root: yaml.Node
    given: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def fail(self, where: tuple[str, ...], why: str) -> NoReturn:
        """Refuses a field, naming its line."""
        node, line = self.root, self.root.start_mark.line + 1
        for part in where:
            for key, value in getattr(node, "value", ()):
                if key.value == part:
                    node, line = value, key.start_mark.line + 1
                    break
        raise TaskError(f"{self.source}, line {line}, {'.'.join(where)}: {why}")


def import_aces(
    path: str | Path, predicates: str | Path | None = None, name: str | None = None
) -> Imported:
    """A task from an ACES task file.

    Mapped are: codes (one, `any` of several, simple regular expressions), `or` and
    `and` of codes and kinds of visit, a trigger at the end of a visit or of an
    admission's stay, a labelled window in days with its gap, counts in windows up to
    the trigger (criteria and exclusions), no outcome in the gap, and sex.

    Args:
        path: the task file.
        predicates: the file of predicates, where they stand apart.
        name: the task's name; the file's where None.

    Raises:
        TaskError: the file cannot be read, or asks what claims cannot answer; with
            file, line, field and reason.
    """
    file = _load(Path(path))
    if predicates is not None:
        apart = _load(Path(predicates))
        file.given["predicates"] = {
            **(file.given.get("predicates") or {}),
            **(apart.given.get("predicates") or {}),
        }
    return _Importer(file).task(name or label_task(str(path)).name)


def _load(path: Path) -> _File:
    root, given = load_yaml(read_yaml(path), str(path))
    file = _File(str(path), root, given)
    for key in given:
        if key not in _FIELDS:
            file.fail((str(key),), f"no field of ACES; known are {', '.join(_FIELDS)}")
    return file


class _Importer:
    def __init__(self, file: _File) -> None:
        self.file = file
        self.predicates: Mapping[str, Any] = file.given.get("predicates") or {}
        self.windows: Mapping[str, Any] = file.given.get("windows") or {}
        self.admits = False  # the trigger is an admission, the index its discharge

    def task(self, name: str) -> Imported:
        """The whole file."""
        file = self.file
        key = "trigger" if "trigger" in file.given else "trigger_event"
        trigger = file.given.get(key)
        if not isinstance(trigger, str):
            file.fail((key,), "the name of a predicate is expected")
        event = self._match(trigger, (key,))
        target, label = self._target()
        index = self._index(trigger)
        self._check_trigger(trigger, index, (key,))
        start, end = self._span(target, index)
        gap, last = self._inside(target, start, end)
        outcome = self._match(label, ("windows", target, "label"))
        given: dict[str, Any] = {
            "name": name,
            "description": str(file.given.get("description") or ""),
            "population": {**self._demographics(), "require": []},
            "index": {"kind": "each_visit", "visit": _fields(event)},
            "outcome": _fields(outcome) or {"visit_types": list(_VISIT_TYPES)},
            "gap_days": gap,
            "window_days": last - gap,
            "censoring": {"keep_if_outcome": True},
            "exclusions": [],
        }
        for window in self.windows:
            self._constrain(window, target, label, index, given)
        try:
            task = Task.model_validate(given)
        except ValidationError as error:
            raise TaskError(f"{file.source}: {error.errors()[0]['msg']}") from None
        return Imported(task, tuple(file.notes))

    def _target(self) -> tuple[str, str]:
        labelled = [
            (name, window["label"])
            for name, window in self.windows.items()
            if isinstance(window, dict) and window.get("label")
        ]
        if len(labelled) != 1:
            self.file.fail(
                ("windows",),
                f"{len(labelled)} windows have a label; exactly one is needed",
            )
        return labelled[0]

    def _index(self, trigger: str) -> _Point:
        for name, window in self.windows.items():
            if isinstance(window, dict) and (edge := window.get("index_timestamp")):
                if edge not in ("start", "end"):
                    self.file.fail(
                        ("windows", name, "index_timestamp"), "start or end is expected"
                    )
                return self._point(f"{name}.{edge}", ("windows", name), trigger)
        if (window := self.windows.get("input")) and window.get("end"):
            return self._point("input.end", ("windows", "input"), trigger)
        return _Point("trigger")

    def _check_trigger(
        self, trigger: str, index: _Point, where: tuple[str, ...]
    ) -> None:
        """An index date within a stay is known to nobody who sees claims only."""
        if index.anchor != "trigger" or index.days:
            self.file.fail(
                where, "the index date should be the trigger, or the end of its stay"
            )
        code = str(self._plain_code(trigger)).lower()
        if "admission" in code and not self.admits:
            self.file.fail(
                where,
                "an index date at admission does not map: claims show a stay when it "
                "has ended. Let the input window end at 'start -> discharge', or "
                "trigger on the discharge",
            )

    def _point(
        self, text: Any, where: tuple[str, ...], trigger: str, depth: int = 0
    ) -> _Point:
        """Where a reference such as `gap.end` or `trigger + 30d` is."""
        step = _STEP.fullmatch(str(text))
        if step is None or depth > 20:
            self.file.fail(where, f"{text!r} is no reference to a moment")
        base, sign, what = step.groups()
        window, _, edge = base.partition(".")
        if base == "trigger" or (base == trigger and depth):
            point = _Point("trigger")
        elif edge in ("start", "end") and window in self.windows:
            point = self._edge(window, edge, trigger, depth)
        else:
            self.file.fail(
                where, f"{base!r} is neither the trigger nor a window's edge"
            )
        if sign is None:
            return point
        if sign in ("+", "-"):
            days = self._days(what, where)
            return _Point(point.anchor, point.days + (days if sign == "+" else -days))
        is_stay = point == _Point("trigger") and sign == "->"
        if is_stay and "discharge" in str(self._plain_code(what)).lower():
            self.admits = True
            return _Point("trigger")
        return _Point(f"{sign} {what}")

    def _edge(self, window: str, edge: str, trigger: str, depth: int) -> _Point:
        spec = self.windows[window]
        text = spec.get(edge)
        other = "end" if edge == "start" else "start"
        if text is None:
            return _Point("record")
        text = re.sub(rf"^\s*{other}\b", f"{window}.{other}", str(text))
        return self._point(text, ("windows", window, edge), trigger, depth + 1)

    def _days(self, text: str, where: tuple[str, ...]) -> int:
        parts = _SPAN.findall(text.lower())
        if not parts or _SPAN.sub("", text.lower()).strip(" ,"):
            self.file.fail(where, f"{text!r} is no length of time")
        if unknown := [unit for _, unit in parts if unit not in _DAYS]:
            self.file.fail(
                where,
                f"{unknown[0]!r} does not map: claims know days; write days, weeks "
                "or years",
            )
        days = sum(float(number) * _DAYS[unit] for number, unit in parts)
        if not math.isclose(days, round(days), abs_tol=1e-9):
            self.file.fail(where, f"{text!r} is no whole number of days")
        return round(days)

    def _span(self, window: str, index: _Point) -> tuple[_Point, _Point]:
        trigger = str(
            self.file.given.get("trigger") or self.file.given["trigger_event"]
        )
        return (
            self._edge(window, "start", trigger, 0),
            self._edge(window, "end", trigger, 0),
        )

    def _inside(self, window: str, start: _Point, end: _Point) -> tuple[int, int]:
        """The window's days: after the first, up to and with the last."""
        spec, where = self.windows[window], ("windows", window)
        if start.anchor != "trigger" or end.anchor != "trigger":
            self.file.fail(
                where,
                "both ends should be so many days after the trigger; a window up to "
                "an event, or to the end of the record, does not map",
            )
        first = start.days - bool(spec.get("start_inclusive", True))
        last = end.days - (not spec.get("end_inclusive", True))
        if start.days < 0 or first < 0:
            self.file.fail(
                where,
                "begins on the index date itself, which is all input here; set "
                "start_inclusive: False",
            )
        if last <= first:
            self.file.fail(where, "holds no day")
        return first, last

    def _constrain(
        self,
        window: str,
        target: str,
        label: str,
        index: _Point,
        given: dict[str, Any],
    ) -> None:
        """What a window must hold, as criteria or exclusions."""
        spec = self.windows[window]
        start, end = self._span(window, index)
        if window == "input":
            self._set_lookback(start, end, given)
        for predicate, bounds in (spec.get("has") or {}).items():
            where = ("windows", window, "has", str(predicate))
            least, most = self._bounds(bounds, where)
            before = end == _Point("trigger")
            if before and start.anchor in ("trigger", "record"):
                self._add_criteria(
                    self._match(str(predicate), where), start, spec, least, most, given
                )
            elif self._is_gap(start, end, given) and (least, most) == (None, 0):
                if predicate != label:
                    self.file.fail(
                        where, "only the label's own predicate can be kept out of a gap"
                    )
                given["censoring"]["drop_if_in_gap"] = True
            elif window == target:
                self.file.fail(where, "a condition on what is predicted does not map")
            else:
                self.file.fail(
                    where,
                    "looks beyond the index date, or at a stretch that does not end "
                    "there; neither maps",
                )

    def _is_gap(self, start: _Point, end: _Point, given: dict[str, Any]) -> bool:
        gap = given["gap_days"]
        return start == _Point("trigger") and end == _Point("trigger", gap) and gap > 0

    def _set_lookback(self, start: _Point, end: _Point, given: dict[str, Any]) -> None:
        if start.anchor == "trigger" and start.days < 0:
            given["lookback_days"] = -start.days
        elif start.anchor not in ("record", "trigger"):
            self.file.notes.append(
                "windows.input: its start is not taken over; inputs are all the past"
            )

    def _add_criteria(
        self,
        match: VisitMatch,
        start: _Point,
        spec: Mapping[str, Any],
        least: int | None,
        most: int | None,
        given: dict[str, Any],
    ) -> None:
        days = None
        if start.anchor == "trigger":
            days = -start.days + bool(spec.get("start_inclusive", True))
        criterion = {
            **(_fields(match) or {"visit_types": list(_VISIT_TYPES)}),
            **({} if days is None else {"within_days": days}),
        }
        if least:
            given["population"]["require"].append({**criterion, "min_count": least})
        if most is not None:
            given["exclusions"].append({**criterion, "min_count": most + 1})

    def _bounds(
        self, bounds: Any, where: tuple[str, ...]
    ) -> tuple[int | None, int | None]:
        text = str(tuple(bounds)) if isinstance(bounds, list) else str(bounds)
        found = _RANGE.fullmatch(text.strip())
        if found is None:
            self.file.fail(where, f"{text!r} is no (least, most) pair")
        least, most = (int(part) if part.isdigit() else None for part in found.groups())
        return least, most

    def _plain_code(self, predicate: str) -> Any:
        spec = self.predicates.get(predicate)
        return spec.get("code", predicate) if isinstance(spec, dict) else predicate

    def _match(self, predicate: str, where: tuple[str, ...]) -> VisitMatch:
        """The visits at which a predicate holds."""
        if predicate == _ANY:
            return VisitMatch()
        spec = self.predicates.get(predicate)
        if not isinstance(spec, dict):
            self.file.fail(where, f"there is no predicate {predicate!r}")
        place: tuple[str, ...] = ("predicates", predicate)
        for name in ("value_min", "value_max", "other_cols"):
            if spec.get(name):
                self.file.fail((*place, name), "claims hold no values; it does not map")
        if "expr" in spec:
            return self._derived(str(spec["expr"]), (*place, "expr"))
        place = (*place, "code")
        code = spec.get("code")
        if isinstance(code, dict) and "any" in code:
            parts = [self._mapped(match_of_code, one, place) for one in code["any"]]
            return self._union(parts, place)
        if isinstance(code, dict) and "regex" in code:
            return self._mapped(match_of_regex, code["regex"], place)
        if not isinstance(code, str):
            self.file.fail(place, "a code, any: [...] or regex: ... is expected")
        return self._mapped(match_of_code, code, place)

    def _mapped(
        self, rule: Callable[[str], VisitMatch], given: Any, where: tuple[str, ...]
    ) -> VisitMatch:
        try:
            return rule(str(given))
        except DoesNotMapError as error:
            self.file.fail(where, str(error))

    def _derived(self, expression: str, where: tuple[str, ...]) -> VisitMatch:
        found = re.fullmatch(r"\s*(and|or)\(([^()]*)\)\s*", expression)
        if found is None:
            self.file.fail(where, "and(...) or or(...) of predicates is expected")
        names = [name.strip() for name in found.group(2).split(",")]
        parts = [self._match(name, where) for name in names]
        if found.group(1) == "or":
            return self._union(parts, where)
        coded = [part for part in parts if part.names_codes]
        typed = [part for part in parts if part.visit_types and not part.names_codes]
        if len(coded) > 1 or len(typed) > 1 or len(coded) + len(typed) < len(parts):
            self.file.fail(
                where, "and() maps for one predicate of codes and one kind of visit"
            )
        return VisitMatch(
            codes=coded[0].codes if coded else None,
            visit_types=typed[0].visit_types if typed else None,
        )

    def _union(self, parts: list[VisitMatch], where: tuple[str, ...]) -> VisitMatch:
        codes = [code for part in parts for code in part.codes or ()]
        types = [kind for part in parts for kind in part.visit_types or ()]
        mixed = codes and types
        if mixed or any(part.codes and part.visit_types for part in parts):
            self.file.fail(where, "or() of codes with kinds of visit does not map")
        return VisitMatch.model_validate(
            {
                **({"codes": tuple(dict.fromkeys(codes))} if codes else {}),
                **({"visit_types": tuple(dict.fromkeys(types))} if types else {}),
            }
        )

    def _demographics(self) -> dict[str, Any]:
        sexes = []
        for name, spec in (self.file.given.get("patient_demographics") or {}).items():
            code = str(spec.get("code", "")) if isinstance(spec, dict) else ""
            what, _, value = code.rpartition("//")
            if what.lower().split("//")[-1] not in ("sex", "gender"):
                self.file.fail(
                    ("patient_demographics", name), "of these, only sex maps"
                )
            if value.lower() not in _SEXES:
                self.file.fail(
                    ("patient_demographics", name), f"{value!r} is neither F nor M"
                )
            sexes.append(_SEXES[value.lower()])
        return {"sexes": sexes} if sexes else {}


def _fields(match: VisitMatch) -> dict[str, Any]:
    return match.model_dump(exclude_none=True)
