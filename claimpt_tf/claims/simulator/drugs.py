"""Drugs as dispensed: NDC-shaped numbers, supply and price.

The eleven digits have the shape of an NDC (labeler 5, product 4, package 2) but
name no real product. A labeler serves one therapeutic area, and each institution
has a labeler it prefers.
"""

from __future__ import annotations

from dataclasses import dataclass

STRENGTHS = 3
LABELERS = 2


@dataclass(frozen=True)
class Drug:
    """A drug class as a pharmacy sees it.

    Attributes:
      area: therapeutic area; decides the labelers.
      days: days of supply of one fill.
      quantity: units dispensed.
      price: mean amount charged, in dollars.
    """

    area: str
    days: int
    quantity: float
    price: float


DRUGS: dict[str, Drug] = {
    "controller": Drug("respiratory", 30, 1, 210),
    "rescue": Drug("respiratory", 30, 1, 62),
    "leukotriene": Drug("respiratory", 30, 30, 28),
    "oral_steroid": Drug("respiratory", 5, 10, 14),
    "antihistamine": Drug("allergy", 30, 30, 12),
    "nasal_steroid": Drug("allergy", 30, 1, 22),
    "skin_steroid": Drug("skin", 15, 30, 19),
    "skin_antibiotic": Drug("skin", 10, 22, 24),
    "antifungal_cream": Drug("skin", 14, 30, 11),
    "acne_gel": Drug("skin", 30, 45, 85),
    "acid_blocker": Drug("digestive", 30, 30, 18),
    "laxative": Drug("digestive", 30, 510, 17),
    "antiemetic": Drug("digestive", 3, 6, 13),
    "insulin": Drug("endocrine", 30, 10, 290),
    "glucose_strips": Drug("endocrine", 30, 100, 95),
    "metformin": Drug("endocrine", 30, 60, 12),
    "thyroxine": Drug("endocrine", 30, 30, 16),
    "contraceptive": Drug("endocrine", 28, 28, 34),
    "antiepileptic": Drug("neurology", 30, 60, 95),
    "migraine_preventive": Drug("neurology", 30, 30, 21),
    "muscle_relaxant": Drug("neurology", 30, 90, 24),
    "stimulant": Drug("psychiatry", 30, 30, 175),
    "alpha_agonist": Drug("psychiatry", 30, 30, 26),
    "ssri": Drug("psychiatry", 30, 30, 14),
    "antipsychotic": Drug("psychiatry", 30, 30, 38),
    "mood_stabiliser": Drug("psychiatry", 30, 60, 31),
    "hydroxyurea": Drug("blood", 30, 30, 55),
    "iron": Drug("blood", 30, 50, 12),
    "penicillin_daily": Drug("infection", 30, 60, 19),
    "amoxicillin": Drug("infection", 10, 100, 15),
    "macrolide": Drug("infection", 5, 15, 21),
    "cephalosporin": Drug("infection", 10, 60, 26),
    "sulfa": Drug("infection", 10, 20, 14),
    "antiviral": Drug("infection", 5, 10, 68),
    "eye_antibiotic": Drug("infection", 7, 10, 18),
    "fever_reducer": Drug("pain", 10, 118, 9),
}
DRUG_NAMES = tuple(DRUGS)
_AREAS = tuple(dict.fromkeys(drug.area for drug in DRUGS.values()))


def ndc(drug: str, labeler: int, strength: int) -> str:
    """Eleven digits of the NDC's shape.

    Args:
      drug: a key of DRUGS.
      labeler: 0 (preferred by institution a) or 1 (by institution b).
      strength: 0 to STRENGTHS - 1.

    >>> ndc("controller", 0, 2)
    '90000001230'
    """
    area = _AREAS.index(DRUGS[drug].area)
    product = 10 * (DRUG_NAMES.index(drug) + 1) + strength
    return f"9{area:02d}0{labeler}{product:04d}30"
