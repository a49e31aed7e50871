"""The visit rules once more, row by row in plain Python: slow, and easy to check."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from claimpt_tf.claims.events import SETTINGS
from claimpt_tf.visits.rules import VisitRules

Row = dict[str, Any]
DIAGNOSES, DRUGS = ("ICD10CM", "ICD9CM", "SNOMED"), ("NDC", "RXNORM")


@dataclass
class Visit:
    setting: str
    day: int
    end: int
    lines: list[Row] = field(default_factory=list)

    def overlaps(self, day: int, end: int, gap: int = 0) -> bool:
        return self.day <= end + gap and day <= self.end + gap

    def add(self, lines: list[Row]) -> None:
        self.lines += lines
        self.day = min(self.day, *(line["day"] for line in lines))
        self.end = max(self.end, *(line["end_day"] for line in lines))

    def codes(self) -> list[str]:
        seen = sorted(
            (kind(code), line["day"], line["line"], code)
            for line in self.lines
            for code in line["codes"]
        )
        return list(dict.fromkeys(code for *_, code in seen))

    def cost(self) -> float:
        return round(sum(line["amount"] for line in self.lines), 2)


def kind(code: str) -> int:
    system = code.split(":")[0]
    return 0 if system in DIAGNOSES else 2 if system in DRUGS else 1


def timelines(
    lines: list[Row], members: list[Row], rules: VisitRules
) -> tuple[dict[str, list[tuple[Any, ...]]], Counter[str]]:
    """Visits by member as (day, length, type, codes, cost), and the lines' fates."""
    births = {m["member"]: m["birth_day"] for m in members}
    fates: Counter[str] = Counter()
    by_member: dict[str, list[Row]] = defaultdict(list)
    for line in lines:
        birth = births.get(line["member"])
        if line["member"] not in births:
            fates["member_without_enrolment"] += 1
        elif birth is None:
            fates["birth_date_missing"] += 1
        elif line["day"] < birth:
            fates["before_birth"] += 1
        else:
            by_member[line["member"]].append(line)
    wanted = {member for member, birth in births.items() if birth is not None}
    return {
        member: [
            (v.day, v.end - v.day, v.setting, v.codes(), v.cost())
            for v in visits(settled(by_member[member], rules, fates), rules)
        ]
        for member in wanted
    }, fates


def settled(lines: list[Row], rules: VisitRules, fates: Counter[str]) -> list[Row]:
    kept: list[Row] = []
    for line in lines:
        twin = {k: v for k, v in line.items() if k != "institution"}
        if any(
            twin == {k: v for k, v in other.items() if k != "institution"}
            for other in kept
        ):
            fates["duplicate"] += 1
        else:
            kept.append(line)
    for strict in (True, False):
        for reversal in [line for line in kept if line["amount"] < 0]:
            for original in kept:
                if (
                    original["amount"] == -reversal["amount"]
                    and original["claim"] == reversal["claim"]
                    and original["line"] == reversal["line"]
                    and (
                        not strict
                        or all(
                            original[k] == reversal[k]
                            for k in ("codes", "day", "end_day")
                        )
                    )
                ):
                    kept = [x for x in kept if x is not original and x is not reversal]
                    fates["reversed"] += 2
                    break
    out = []
    for line in kept:
        if line["amount"] < 0:
            fates["reversal_without_original"] += 1
        elif line["denied"] and rules.denied == "drop":
            fates["denied"] += 1
        else:
            fates["kept"] += 1
            out.append(line)
    return out


def visits(lines: list[Row], rules: VisitRules) -> list[Visit]:
    by_claim: dict[str, list[Row]] = defaultdict(list)
    for line in lines:
        by_claim[line["claim"]].append(line)
    lines = [
        {
            **line,
            "setting": lifted(line, by_claim[line["claim"]]),
            "end_day": line["day"] if line["setting"] == "RX" else line["end_day"],
        }
        for line in lines
    ]
    stays = merged(lines, "IP", rules.inpatient_gap_days)
    admissions = [(stay.day, stay.end) for stay in stays]
    found = list(stays)
    for arrival in merged(lines, "ED", 0):
        into = None
        for stay, (day, end) in zip(stays, admissions, strict=True):
            if (
                day <= arrival.end + rules.ed_before_admission_days
                and arrival.day < max(end, day + 1)
            ):
                into = stay
        if into:
            into.add(arrival.lines)
        else:
            found.append(arrival)
    groups: dict[Any, list[Row]] = defaultdict(list)
    for line in lines:
        if line["setting"] in ("OP", "OTHER"):
            what = line["day"] if rules.outpatient == "day" else line["claim"]
            groups[line["setting"], what].append(line)
    for (setting, _), group in groups.items():
        visit = Visit(setting, group[0]["day"], group[0]["end_day"])
        visit.add(group)
        found.append(visit)
    fills = [line for line in lines if line["setting"] == "RX"]
    of_day: dict[int, Visit] = {}
    before = sorted(found, key=visit_order)
    spans = [(visit, visit.day, visit.end) for visit in before]
    for fill in fills:
        into = None
        if rules.link_pharmacy:
            inside = [
                v
                for v, day, end in spans
                if v.setting == "IP" and day <= fill["day"] <= end
            ]
            same = [v for v, day, _ in spans if day == fill["day"]]
            into = inside[-1] if inside else same[0] if same else None
        if into is None:
            into = of_day.setdefault(fill["day"], Visit("RX", fill["day"], fill["day"]))
        into.add([fill])
    return sorted([*found, *of_day.values()], key=visit_order)


def visit_order(visit: Visit) -> tuple[Any, ...]:
    first_claim = min((line["claim"] for line in visit.lines), default="")
    return visit.day, SETTINGS.index(visit.setting), visit.end, first_claim


def lifted(line: Row, claim: list[Row]) -> str:
    """The strongest setting of the claim, near the claim's IP and ED lines."""
    strong = [other for other in claim if other["setting"] in ("IP", "ED")]
    if not strong or line["setting"] == "RX":
        return str(line["setting"])
    first = min(other["day"] for other in strong) - 1
    last = max(other["end_day"] for other in strong) + 1
    if not first <= line["day"] <= last:
        return str(line["setting"])
    settings = [line["setting"], *(other["setting"] for other in strong)]
    return str(min(settings, key=SETTINGS.index))


def merged(lines: list[Row], setting: str, gap: int) -> list[Visit]:
    """Claims of a setting merged until none overlaps or nearly touches another."""
    claims: dict[str, list[Row]] = defaultdict(list)
    for line in lines:
        if line["setting"] == setting:
            claims[line["claim"]].append(line)
    spans: list[Visit] = []
    for group in claims.values():
        new = Visit(setting, group[0]["day"], group[0]["end_day"])
        new.add(group)
        while touching := [v for v in spans if v.overlaps(new.day, new.end, gap)]:
            spans = [v for v in spans if not any(v is t for t in touching)]
            for old in touching:
                new.add(old.lines)
        spans.append(new)
    return sorted(spans, key=lambda visit: visit.day)
