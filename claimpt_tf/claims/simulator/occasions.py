"""Diagnoses of visits that are not for one of the listed conditions."""

from __future__ import annotations

from claimpt_tf.claims.simulator.condition import Coding

NEWBORN_WEEK = Coding({"Z00110": 1}, {"Z00110": 1})  # under 8 days old
NEWBORN_MONTH = Coding({"Z00111": 1}, {"Z00111": 1})  # 8 to 28 days old
WELL_CHILD = Coding({"Z00129": 8, "Z00121": 2}, {"Z00129": 19, "Z00121": 1})
VACCINATION = Coding({"Z23": 1}, {"Z23": 1})
DENTAL = Coding({"Z0120": 5, "Z0121": 2, "K0262": 2}, {"Z0120": 4, "K029": 3})
BIRTH = Coding({"Z3800": 7, "Z3801": 3}, {"Z3800": 7, "Z3801": 3})
CRISIS = Coding(
    {"F321": 3, "R456": 2, "F4323": 2, "R45851": 1, "F411": 1},
    {"F329": 4, "R4689": 2, "F439": 2, "R45851": 1, "F419": 1},
)
FOLLOW_UP = Coding(
    {"F321": 4, "F4323": 3, "F331": 2, "Z9151": 1}, {"F32A": 6, "F4320": 3, "F39": 1}
)

# Self-harm, first the injury or poisoning, then what says that it was meant.
INJURY = Coding(
    {"S51812A": 3, "S51811A": 3, "S61512A": 2, "S61511A": 1},
    {"S51812A": 2, "S41112A": 1},
)
INJURY_INTENT = Coding({"X781XXA": 3, "X788XXA": 4}, {"X789XXA": 5, "X788XXA": 1})
POISONING = Coding(
    {"T391X2A": 5, "T39312A": 3, "T43222A": 3, "T43212A": 1, "T450X2A": 2},
    {"T50902A": 4, "T391X2A": 3, "T43222A": 1},
)
ATTEMPT = Coding({"T1491XA": 1}, {"T1491XA": 1})
NOT_SUICIDAL = Coding({"R4588": 1}, {"R4588": 1})

# What the self-harm outcome is made of, at an emergency or inpatient visit.
SELF_HARM_CODES = tuple(
    sorted(
        {
            code
            for coding in (INJURY_INTENT, POISONING, ATTEMPT, NOT_SUICIDAL)
            for place in (0, 1)
            for code in coding.of(place)
        }
    )
)
