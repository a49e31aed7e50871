"""What the simulator knows of a disease: who gets it and how it is seen and coded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

AGE_BANDS = (0.0, 1.0, 3.0, 6.0, 10.0, 14.0, 19.0)  # years, edges of six bands
INSTITUTIONS = ("institution_a", "institution_b")


@dataclass(frozen=True)
class Coding:
    """ICD-10-CM codes, without dots, and how often each institution uses them."""

    a: Mapping[str, float]
    b: Mapping[str, float]

    def of(self, institution: int) -> Mapping[str, float]:
        """The weights of institution 0 (a) or 1 (b)."""
        return self.b if institution else self.a


@dataclass(frozen=True)
class Symptom:
    """A further diagnosis on a visit, more likely the higher the severity.

    Attributes:
      coding: codes by institution.
      base: log-odds of being noted at severity 0.
      slope: change of those log-odds a unit of severity.
    """

    coding: Coding
    base: float
    slope: float = 0.0


@dataclass(frozen=True)
class Medicine:
    """A drug taken every month for a chronic condition.

    Attributes:
      drug: name in the drugs table.
      share: share of members with the condition who take it.
      follow: correlation, 0 to 1, of being treated with recent severity.
    """

    drug: str
    share: float
    follow: float = 0.3


@dataclass(frozen=True)
class Chronic:
    """A condition that, once there, stays.

    Attributes:
      name: short name, unique among all conditions.
      onset: new cases per 100 child-years in each band of AGE_BANDS.
      coding: codes by institution.
      at_birth: cases per 100 births.
      male: rate in boys over rate in girls; 0 for girls only.
      traits: effect on the log rate of onset of one unit of each lasting trait.
      office, emergency, inpatient: visits a year at average severity.
      driver: the severity that decides how often and how the child is seen.
      pull: effect of one unit of that severity on the log of the visit rate.
      mention: chance of being noted as a further diagnosis on other visits.
      clinic: kind of the planned visits: office, psychotherapy or therapy.
      season: name in SEASONS, for the visits.
      until: age in years after which the condition is no longer seen.
      medicines: drugs taken every month.
      symptoms: further diagnoses on its visits.
    """

    name: str
    onset: tuple[float, float, float, float, float, float]
    coding: Coding
    at_birth: float = 0.0
    male: float = 1.0
    traits: Mapping[str, float] = field(default_factory=dict)
    office: float = 1.0
    emergency: float = 0.0
    inpatient: float = 0.0
    driver: str = "general"
    pull: float = 0.3
    mention: float = 0.15
    clinic: str = "office"
    season: str = "none"
    until: float = 99.0
    medicines: tuple[Medicine, ...] = ()
    symptoms: tuple[Symptom, ...] = ()


@dataclass(frozen=True)
class Episode:
    """An acute illness or injury that comes and goes.

    Attributes:
      name: short name, unique among all conditions.
      incidence: episodes per child-year in each band of AGE_BANDS.
      coding: codes by institution.
      season: name in SEASONS.
      traits: effect on the log incidence of one unit of each lasting trait.
      emergency, inpatient: share of episodes first seen there; the rest in an office.
      stay: mean days of an inpatient stay.
      drugs: chance of each drug being dispensed on or after the visit.
      symptoms: further diagnoses.
      fragility: effect of general severity on the log-odds of ED and hospital.
    """

    name: str
    incidence: tuple[float, float, float, float, float, float]
    coding: Coding
    season: str = "none"
    traits: Mapping[str, float] = field(default_factory=dict)
    emergency: float = 0.2
    inpatient: float = 0.0
    stay: float = 3.0
    drugs: Mapping[str, float] = field(default_factory=dict)
    symptoms: tuple[Symptom, ...] = ()
    fragility: float = 0.4
