"""Lasting conditions of mind and development."""

from __future__ import annotations

from claimpt_tf.claims.simulator.condition import Chronic, Coding, Medicine, Symptom

# What clinicians note beside the diagnosis; faint signs of severity, none a proof.
IDEATION = Symptom(Coding({"R45851": 1}, {"R45851": 1}), -4.0, 1.2)
SLEEP = Symptom(Coding({"G4700": 3, "F5101": 1}, {"G479": 2, "G4709": 1}), -2.0, 0.8)
IRRITABLE = Symptom(
    Coding({"R454": 2, "R4587": 1, "R4586": 1}, {"R4589": 3, "R454": 1}), -2.0, 0.8
)
FAMILY = Symptom(Coding({"Z62820": 2, "Z638": 1}, {"Z639": 2, "Z658": 1}), -2.4, 0.15)
SCHOOL = Symptom(Coding({"Z553": 1, "Z558": 1}, {"Z559": 2}), -2.6, 0.1)

MIND = (
    Chronic(
        "adhd",
        (0, 0, 0.7, 1.7, 0.6, 0.2),
        Coding({"F902": 5, "F900": 3, "F901": 1}, {"F909": 6, "F902": 2}),
        male=2.2,
        traits={"neuro": 0.7, "mind": 0.3},
        office=3.0,
        driver="mental",
        pull=0.15,
        mention=0.3,
        season="school",
        medicines=(
            Medicine("stimulant", 0.6, 0.2),
            Medicine("alpha_agonist", 0.2, 0.3),
        ),
        symptoms=(SLEEP, SCHOOL),
    ),
    Chronic(
        "anxiety",
        (0, 0, 0.15, 0.45, 0.9, 1.3),
        Coding({"F411": 4, "F4010": 1, "F930": 2, "F418": 2}, {"F419": 9, "F411": 1}),
        male=0.7,
        traits={"mind": 0.8},
        office=4.5,
        driver="mental",
        pull=0.85,
        mention=0.3,
        clinic="psychotherapy",
        season="school",
        medicines=(Medicine("ssri", 0.4, 0.7),),
        symptoms=(IDEATION, SLEEP, IRRITABLE, FAMILY, SCHOOL),
    ),
    Chronic(
        "depression",
        (0, 0, 0, 0.15, 1.0, 1.8),
        Coding({"F321": 4, "F331": 2, "F320": 2, "F341": 1}, {"F32A": 7, "F329": 2}),
        male=0.55,
        traits={"mind": 0.9},
        office=5.5,
        emergency=0.04,
        driver="mental",
        pull=0.85,
        mention=0.35,
        clinic="psychotherapy",
        season="school",
        medicines=(Medicine("ssri", 0.6, 0.7),),
        symptoms=(IDEATION, SLEEP, IRRITABLE, FAMILY),
    ),
    Chronic(
        "trauma",
        (0, 0.05, 0.2, 0.4, 0.6, 0.6),
        Coding(
            {"F4310": 3, "F4323": 3, "F4325": 2, "F4312": 1}, {"F4320": 4, "F439": 3}
        ),
        traits={"hardship": 0.7, "mind": 0.4},
        office=5.0,
        driver="mental",
        pull=0.85,
        mention=0.25,
        clinic="psychotherapy",
        symptoms=(IDEATION, SLEEP, IRRITABLE, FAMILY),
    ),
    Chronic(
        "mood_dysregulation",
        (0, 0, 0.04, 0.2, 0.3, 0.3),
        Coding({"F3481": 4, "F3181": 1, "F3189": 1}, {"F39": 5, "F319": 2}),
        traits={"mind": 0.9, "hardship": 0.3},
        office=6.0,
        emergency=0.06,
        inpatient=0.04,
        driver="mental",
        pull=0.85,
        mention=0.4,
        clinic="psychotherapy",
        medicines=(
            Medicine("antipsychotic", 0.5, 0.6),
            Medicine("mood_stabiliser", 0.3, 0.3),
        ),
        symptoms=(IDEATION, SLEEP, IRRITABLE),
    ),
    Chronic(
        "conduct",
        (0, 0.03, 0.25, 0.4, 0.35, 0.25),
        Coding({"F913": 5, "F911": 1, "F912": 1}, {"F919": 4, "F918": 1, "F913": 2}),
        male=1.6,
        traits={"neuro": 0.4, "hardship": 0.5},
        office=4.0,
        driver="mental",
        pull=0.75,
        mention=0.25,
        clinic="psychotherapy",
        season="school",
        symptoms=(IRRITABLE, FAMILY, SCHOOL),
    ),
    Chronic(
        "autism",
        (0, 0.6, 0.4, 0.1, 0.05, 0),
        Coding({"F840": 1}, {"F840": 5, "F849": 1}),
        male=3.2,
        traits={"neuro": 0.9},
        office=14.0,
        mention=0.6,
        clinic="therapy",
        season="school",
        medicines=(
            Medicine("alpha_agonist", 0.15),
            Medicine("antipsychotic", 0.12),
        ),
        symptoms=(Symptom(Coding({"F88": 1, "R4789": 1}, {"R480": 1}), -1.4),),
    ),
    Chronic(
        "speech_delay",
        (0.3, 2.6, 1.5, 0.2, 0, 0),
        Coding({"F801": 3, "F802": 3, "F800": 2}, {"F809": 5, "R4789": 1}),
        male=1.6,
        traits={"neuro": 0.7},
        office=9.0,
        mention=0.2,
        clinic="therapy",
        season="school",
        until=8.0,
    ),
    Chronic(
        "motor_delay",
        (1.2, 0.8, 0.2, 0.05, 0, 0),
        Coding({"F82": 3, "R620": 2}, {"R6250": 3, "F82": 1}),
        traits={"neuro": 0.5, "frailty": 0.7},
        office=8.0,
        mention=0.2,
        clinic="therapy",
        until=7.0,
    ),
    Chronic(
        "substance_use",
        (0, 0, 0, 0, 0.3, 1.0),
        Coding(
            {"F1210": 4, "F1290": 1, "F1010": 1}, {"F1290": 3, "F1990": 2, "F1910": 1}
        ),
        traits={"hardship": 0.5, "mind": 0.5},
        office=3.0,
        emergency=0.1,
        driver="mental",
        pull=0.3,
        mention=0.3,
        clinic="psychotherapy",
        symptoms=(IRRITABLE, FAMILY),
    ),
    Chronic(
        "eating_disorder",
        (0, 0, 0.05, 0.1, 0.3, 0.35),
        Coding({"F5089": 3, "F5020": 1}, {"F509": 4}),
        male=0.3,
        traits={"mind": 0.6},
        office=5.0,
        inpatient=0.03,
        driver="mental",
        pull=0.75,
        mention=0.3,
        clinic="psychotherapy",
        symptoms=(IDEATION, SLEEP),
    ),
)
# Conditions that make a child one with a mental-health diagnosis.
MENTAL_HEALTH = (
    "adhd",
    "anxiety",
    "depression",
    "trauma",
    "mood_dysregulation",
    "conduct",
    "substance_use",
    "eating_disorder",
)
