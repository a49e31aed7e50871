"""What is billed at a visit: one specification a possible claim line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from claimpt_tf.claims.simulator.condition import Coding

PROFESSIONAL, FACILITY = 0, 1


@dataclass(frozen=True)
class LineSpec:
    """A line that may appear on the claims of a visit.

    Attributes:
      codes: HCPCS or CPT codes by institution; empty for a line with none.
      charge: mean charge in dollars a unit.
      part: PROFESSIONAL or FACILITY claim.
      chance: share of such visits with this line.
      revenue: revenue center code, on facility lines.
      ages: years from and up to which it applies.
      graded: the codes are levels, lowest first, and severity moves the level.
      daily: one line a day of the stay.
      per_day: units are the days of the stay.
      modifier: HCPCS modifier.
    """

    codes: Coding | None
    charge: float
    part: int = PROFESSIONAL
    chance: float = 1.0
    revenue: str = ""
    ages: tuple[float, float] = (0.0, 99.0)
    graded: bool = False
    daily: bool = False
    per_day: bool = False
    modifier: str = ""


def same(*codes: str) -> Coding:
    """Codes that both institutions use alike."""
    weights = dict.fromkeys(codes, 1.0)
    return Coding(weights, weights)


def _facility(
    revenue: str, charge: float, chance: float, codes: Coding | None = None
) -> LineSpec:
    return LineSpec(codes, charge, FACILITY, chance, revenue)


OFFICE_LEVELS = same("99212", "99213", "99214", "99215")
EMERGENCY_LEVELS = same("99281", "99282", "99283", "99284", "99285")

KIND_LINES: Mapping[str, tuple[LineSpec, ...]] = {
    "office": (
        LineSpec(OFFICE_LEVELS, 145, graded=True),
        LineSpec(same("36415"), 12, chance=0.28),
        LineSpec(Coding({"85025": 1}, {"85027": 1}), 24, chance=0.26),
        LineSpec(Coding({"80053": 1}, {"80048": 1}), 36, chance=0.14),
        LineSpec(Coding({"81002": 1}, {"81003": 1}), 9, chance=0.2),
        LineSpec(same("99000"), 10, chance=0.25),
        LineSpec(Coding({"96127": 1}, {"G0444": 1}), 14, chance=0.3, ages=(10, 99)),
        LineSpec(Coding({"99051": 1}, {"99050": 1}), 30, chance=0.12),
        LineSpec(same("T1015"), 120, chance=0.18),
        LineSpec(same("94760"), 8, chance=0.35),
        LineSpec(Coding({"S9445": 1}, {"98960": 1}), 30, chance=0.12),
        LineSpec(Coding({"G8427": 1}, {"G8428": 1}), 5, chance=0.35),
        LineSpec(Coding({"G8420": 1}, {"3008F": 1}), 5, chance=0.3, ages=(2, 99)),
    ),
    "clinic": (
        LineSpec(OFFICE_LEVELS, 160, graded=True),
        _facility("0510", 190, 1.0, same("G0463")),
        _facility("0250", 40, 0.4),
        _facility("0270", 30, 0.35),
        _facility("0300", 35, 0.6, same("36415")),
        _facility("0305", 42, 0.45, same("85025")),
        _facility("0301", 70, 0.45, Coding({"80053": 1}, {"80048": 1})),
        _facility("0307", 24, 0.25, same("81001")),
        _facility("0942", 60, 0.2, Coding({"S9445": 1}, {"98960": 1})),
    ),
    "psychotherapy": (
        LineSpec(
            Coding({"90834": 5, "90837": 3, "90832": 2}, {"90837": 4, "H0004": 4}), 135
        ),
        LineSpec(same("90785"), 25, chance=0.25),
        LineSpec(Coding({"90847": 1}, {"90846": 1}), 130, chance=0.18),
        LineSpec(Coding({"99214": 1}, {"99213": 1}), 150, chance=0.25),
        LineSpec(Coding({"90833": 1}, {"90836": 1}), 90, chance=0.2),
        LineSpec(same("96127"), 14, chance=0.35),
        LineSpec(Coding({"T1017": 1}, {"T1016": 1}), 60, chance=0.4),
        LineSpec(Coding({"90791": 1}, {"H0031": 1}), 210, chance=0.08),
        LineSpec(Coding({"H2019": 1}, {"H2014": 1}), 80, chance=0.2),
        LineSpec(same("H0032"), 70, chance=0.25),
        LineSpec(Coding({"H0034": 1}, {"H2015": 1}), 60, chance=0.3),
    ),
    "therapy": (
        LineSpec(Coding({"92507": 1}, {"92507": 3, "92508": 1}), 110, modifier="GN"),
        LineSpec(same("97530"), 75, chance=0.75, modifier="GO"),
        LineSpec(Coding({"97110": 1}, {"97112": 1}), 70, chance=0.6, modifier="GP"),
        LineSpec(Coding({"97153": 1}, {"H2019": 1}), 95, chance=0.3),
        LineSpec(Coding({"92523": 1}, {"97165": 1}), 210, chance=0.05),
        LineSpec(same("T1017"), 60, chance=0.3),
        LineSpec(Coding({"97129": 1}, {"G0515": 1}), 45, chance=0.3),
        LineSpec(Coding({"T1024": 1}, {"T1018": 1}), 55, chance=0.3),
        LineSpec(Coding({"97535": 1}, {"97533": 1}), 60, chance=0.25),
    ),
    "well": (
        LineSpec(same("99391"), 150, ages=(0, 1)),
        LineSpec(same("99392"), 155, ages=(1, 5)),
        LineSpec(same("99393"), 155, ages=(5, 12)),
        LineSpec(same("99394"), 165, ages=(12, 18)),
        LineSpec(same("99395"), 170, ages=(18, 99)),
        LineSpec(
            Coding({"96110": 1}, {"96110": 3, "G0451": 1}),
            22,
            chance=0.75,
            ages=(0.7, 4),
        ),
        LineSpec(Coding({"96161": 1}, {"96161": 1}), 12, chance=0.5, ages=(0, 0.6)),
        LineSpec(same("96127"), 14, chance=0.8, ages=(10, 99)),
        LineSpec(Coding({"92551": 1}, {"92552": 1}), 18, chance=0.75, ages=(4, 99)),
        LineSpec(Coding({"99173": 1}, {"99177": 1}), 12, chance=0.8, ages=(3, 99)),
        LineSpec(Coding({"99188": 1}, {"D1206": 1}), 30, chance=0.4, ages=(0.7, 5)),
        LineSpec(Coding({"85018": 1}, {"85018": 1}), 10, chance=0.5, ages=(0.9, 3)),
        LineSpec(same("83655"), 28, chance=0.55, ages=(0.9, 3)),
        LineSpec(Coding({"36416": 1}, {"36416": 1}), 9, chance=0.4, ages=(0.9, 5)),
        LineSpec(Coding({"80061": 1}, {"82465": 1}), 24, chance=0.35, ages=(9, 18)),
        LineSpec(Coding({"96160": 1}, {"96161": 1}), 12, chance=0.5, ages=(1, 99)),
        LineSpec(same("81002"), 9, chance=0.4, ages=(4, 99)),
        LineSpec(Coding({"G8420": 1}, {"3008F": 1}), 5, chance=0.6, ages=(2, 99)),
        LineSpec(Coding({"G0442": 1}, {"G0442": 1}), 16, chance=0.3, ages=(12, 99)),
        LineSpec(same("36415"), 12, chance=0.25, ages=(5, 99)),
        LineSpec(Coding({"S0302": 1}, {"S0302": 1}), 25, chance=0.5),
        LineSpec(Coding({"99401": 1}, {"G0447": 1}), 35, chance=0.35, ages=(4, 99)),
    ),
    "flu_shot": (
        LineSpec(Coding({"90686": 1}, {"90674": 2, "90688": 1}), 28),
        LineSpec(Coding({"90460": 1}, {"90471": 1}), 25),
    ),
    "dental": (
        LineSpec(Coding({"D0120": 1}, {"D0120": 2, "D0145": 1}), 45),
        LineSpec(same("D1120"), 60, chance=0.8),
        LineSpec(Coding({"D1206": 1}, {"D1208": 1}), 32, chance=0.75),
        LineSpec(Coding({"D0272": 1}, {"D0274": 1}), 40, chance=0.6, ages=(4, 99)),
        LineSpec(Coding({"D0603": 1}, {"D0602": 1}), 15, chance=0.4),
        LineSpec(same("D1330"), 20, chance=0.7),
        LineSpec(Coding({"D1351": 1}, {"D1351": 1}), 48, chance=0.2, ages=(6, 15)),
        LineSpec(Coding({"D2392": 1}, {"D2391": 1}), 140, chance=0.15, ages=(3, 99)),
    ),
    "emergency": (
        LineSpec(EMERGENCY_LEVELS, 390, graded=True),
        LineSpec(EMERGENCY_LEVELS, 820, FACILITY, revenue="0450", graded=True),
        _facility("0250", 45, 0.9),
        _facility("0259", 20, 0.35),
        _facility("0270", 38, 0.75),
        _facility("0300", 22, 0.7, same("36415")),
        _facility("0301", 120, 0.65, Coding({"80053": 1}, {"80048": 1})),
        _facility("0305", 64, 0.7, same("85025")),
        _facility("0306", 90, 0.4, Coding({"87804": 1}, {"87502": 1})),
        _facility("0307", 30, 0.4, Coding({"81001": 1}, {"81003": 1})),
        _facility("0324", 180, 0.25, Coding({"71046": 1}, {"71045": 1})),
        _facility("0636", 15, 0.45, Coding({"J1885": 1, "J2405": 2}, {"J2405": 1})),
        _facility("0637", 8, 0.45),
        _facility("0260", 160, 0.2, same("96360")),
        _facility("0450", 90, 0.25, Coding({"96372": 1}, {"96374": 1})),
        _facility("0460", 40, 0.5, same("94760")),
        _facility("0272", 24, 0.4),
        _facility("0302", 55, 0.3, same("86140")),
        _facility("0981", 120, 0.3, same("99283")),
        _facility("0762", 350, 0.05, same("G0378")),
    ),
    "inpatient": (
        LineSpec(same("99222", "99223"), 330),
        LineSpec(same("99231", "99232", "99233"), 160, daily=True),
        LineSpec(Coding({"99238": 3, "99239": 1}, {"99238": 1}), 180),
        LineSpec(None, 2100, FACILITY, revenue="0120", per_day=True),
        _facility("0450", 900, 0.7, same("99284", "99285")),
        _facility("0250", 480, 1.0),
        _facility("0258", 210, 0.8),
        _facility("0259", 130, 0.7),
        _facility("0260", 160, 0.5, same("96365")),
        _facility("0270", 260, 1.0),
        _facility("0272", 120, 0.6),
        LineSpec(same("36415"), 24, FACILITY, 0.9, "0300", daily=True),
        LineSpec(same("80053"), 96, FACILITY, 0.8, "0301", daily=True),
        LineSpec(same("85025"), 48, FACILITY, 0.85, "0305", daily=True),
        _facility("0306", 180, 0.7, Coding({"87040": 1}, {"87086": 1})),
        _facility("0307", 50, 0.6, same("81001")),
        _facility("0324", 220, 0.4, Coding({"71046": 1}, {"71045": 1})),
        _facility("0420", 140, 0.15, same("97161")),
        _facility("0460", 60, 0.5, same("94760")),
        _facility("0636", 90, 0.7, Coding({"J0696": 2, "J2405": 1}, {"J0696": 1})),
        _facility("0637", 60, 0.6),
        _facility("0730", 190, 0.25, same("93005")),
    ),
    "birth": (
        LineSpec(same("99460"), 230),
        LineSpec(same("99462"), 120, chance=0.6),
        LineSpec(same("99238"), 170),
        LineSpec(None, 1400, FACILITY, revenue="0170", per_day=True),
        _facility("0250", 90, 0.8),
        _facility("0270", 60, 0.5),
        _facility("0300", 40, 0.8, same("36416")),
        _facility("0301", 55, 0.7, Coding({"82247": 1}, {"88720": 1})),
        _facility("0302", 60, 0.4, same("86880")),
        _facility("0471", 130, 0.9, Coding({"92586": 1}, {"92650": 1})),
        _facility("0636", 32, 0.85, same("90744")),
        _facility("0771", 28, 0.85, Coding({"90471": 1}, {"G0010": 1})),
        _facility("0310", 80, 0.7, same("S3620")),
    ),
}
_SPIROMETRY = Coding({"94010": 1, "94060": 1}, {"94010": 1})
_NEBULISED = Coding({"J7613": 1}, {"J7620": 1})
# Further lines by reason: the kinds of visit they belong to, and the line.
REASON_LINES: Mapping[str, tuple[tuple[tuple[str, ...], LineSpec], ...]] = {
    "asthma": (
        (("office", "clinic"), LineSpec(_SPIROMETRY, 62, chance=0.25, ages=(5, 99))),
        (("office",), LineSpec(same("94640"), 34, chance=0.2)),
        (("office",), LineSpec(_NEBULISED, 6, chance=0.18)),
        (("office", "clinic"), LineSpec(same("94664"), 26, chance=0.18)),
        (("office",), LineSpec(Coding({"A7003": 1}, {"E0570": 1}), 40, chance=0.06)),
        (("office", "clinic"), LineSpec(same("95012"), 30, chance=0.06)),
        (("office", "clinic"), LineSpec(same("S8101", "A4627"), 24, chance=0.1)),
    ),
    "asthma_exacerbation": (
        (("emergency", "inpatient"), _facility("0410", 140, 0.9, same("94640"))),
        (("emergency", "inpatient"), _facility("0412", 90, 0.3, same("94644"))),
        (("emergency", "inpatient"), _facility("0636", 12, 0.6, same("J7613"))),
        (("emergency", "inpatient"), _facility("0636", 16, 0.5, same("J1100"))),
        (("inpatient",), _facility("0460", 60, 0.5, same("94760"))),
    ),
    "self_harm": (
        (("emergency",), LineSpec(same("90791", "90839"), 260, chance=0.5)),
        (("emergency",), _facility("0301", 130, 0.6, same("80307"))),
        (("emergency",), _facility("0301", 70, 0.5, same("80143", "80179"))),
        (("inpatient",), _facility("0915", 180, 0.8, same("90853"))),
        (("inpatient",), _facility("0914", 210, 0.8, same("90832"))),
    ),
    "crisis": (
        (("emergency",), LineSpec(same("90791", "90839"), 260, chance=0.5)),
        (("emergency",), LineSpec(Coding({"H2011": 1}, {"S9484": 1}), 190, chance=0.4)),
        (("emergency",), _facility("0301", 130, 0.5, same("80307"))),
        (("inpatient",), _facility("0915", 180, 0.8, same("90853"))),
        (("inpatient",), _facility("0914", 210, 0.8, same("90832"))),
    ),
    "pharyngitis": (
        (("office", "emergency"), LineSpec(same("87880"), 22, chance=0.75)),
        (("office",), LineSpec(same("87081"), 18, chance=0.3)),
    ),
    "influenza": ((("office",), LineSpec(same("87804"), 28, chance=0.75)),),
    "covid": (
        (("office",), LineSpec(Coding({"87635": 1}, {"U0003": 1}), 75, chance=0.7)),
        (("office",), LineSpec(Coding({"87426": 1}, {"C9803": 1}), 40, chance=0.3)),
    ),
    "cold": ((("office",), LineSpec(same("87880", "87804"), 24, chance=0.3)),),
    "fever": ((("office",), LineSpec(same("87880", "81003"), 20, chance=0.4)),),
    "bronchiolitis": (
        (("office",), LineSpec(Coding({"87807": 1}, {"87634": 1}), 30, chance=0.5)),
        (("office",), LineSpec(same("94640"), 34, chance=0.2)),
        (("emergency", "inpatient"), _facility("0410", 130, 0.4, same("94640"))),
    ),
    "croup": ((("office", "emergency"), LineSpec(same("J1100"), 12, chance=0.6)),),
    "pneumonia": ((("office",), LineSpec(same("71046"), 60, chance=0.4)),),
    "urinary_infection": (
        (("office",), LineSpec(same("87086"), 26, chance=0.7)),
        (("office",), LineSpec(same("81001"), 12, chance=0.6)),
    ),
    "otitis_media": ((("office",), LineSpec(same("92567"), 26, chance=0.15)),),
    "minor_injury": (
        (("emergency",), LineSpec(same("12011", "12001"), 240, chance=0.3)),
        (("emergency",), _facility("0320", 160, 0.4, same("73130", "73610"))),
    ),
    "fracture": (
        (("office", "emergency"), LineSpec(same("29125", "29075"), 190, chance=0.6)),
        (("emergency",), _facility("0320", 170, 0.95, same("73110", "73090"))),
        (("office",), LineSpec(Coding({"Q4012": 1}, {"A4590": 1}), 30, chance=0.3)),
        (("office",), LineSpec(same("73110"), 70, chance=0.6)),
    ),
    "head_injury": ((("emergency",), _facility("0351", 900, 0.25, same("70450"))),),
    "abdominal_pain": ((("emergency",), _facility("0402", 380, 0.35, same("76705"))),),
    "appendicitis": (
        (("inpatient",), LineSpec(same("44970"), 1900, chance=0.85)),
        (("inpatient",), _facility("0360", 6200, 0.85, same("44970"))),
        (("inpatient",), _facility("0370", 1500, 0.85)),
    ),
    "adhd": ((("office",), LineSpec(same("96127"), 14, chance=0.4)),),
    "type1_diabetes": (
        (("office", "clinic"), LineSpec(same("83036"), 26, chance=0.8)),
        (("office",), LineSpec(Coding({"A4253": 1}, {"A9276": 1}), 70, chance=0.3)),
        (("office", "clinic"), LineSpec(same("95251"), 70, chance=0.4)),
    ),
    "type2_diabetes": ((("office",), LineSpec(same("83036"), 26, chance=0.6)),),
    "obesity": ((("office",), LineSpec(same("97802", "G0447"), 50, chance=0.25)),),
    "epilepsy": ((("clinic", "office"), LineSpec(same("95816"), 420, chance=0.15)),),
    "sleep_apnea": ((("office",), LineSpec(same("95810"), 900, chance=0.15)),),
    "congenital_heart": (
        (("office", "clinic"), LineSpec(same("93303", "93306"), 420, chance=0.5)),
        (("office", "clinic"), LineSpec(same("93000"), 40, chance=0.6)),
    ),
    "refractive_error": (
        (("office",), LineSpec(Coding({"92014": 1}, {"92004": 1}), 120, chance=0.7)),
        (("office",), LineSpec(same("92015"), 30, chance=0.5)),
        (("office",), LineSpec(Coding({"V2100": 1}, {"V2103": 1}), 45, chance=0.6)),
        (("office",), LineSpec(Coding({"V2020": 1}, {"V2020": 1}), 60, chance=0.5)),
    ),
    "contraception": (
        (("office",), LineSpec(Coding({"J1050": 1}, {"J7307": 1}), 120, chance=0.35)),
        (("office",), LineSpec(same("81025"), 14, chance=0.5)),
    ),
    "food_allergy": ((("office",), LineSpec(same("95004", "86003"), 80, chance=0.4)),),
    "allergic_rhinitis": (
        (("office",), LineSpec(same("95004", "95115"), 60, chance=0.25)),
    ),
    "sickle_cell": ((("clinic", "office"), LineSpec(same("85045"), 20, chance=0.7)),),
    "anaemia": ((("office",), LineSpec(same("85018", "82728"), 18, chance=0.8)),),
    "scoliosis": ((("office",), LineSpec(same("72082"), 90, chance=0.6)),),
}
