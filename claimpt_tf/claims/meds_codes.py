"""The codes by which a timeline is written as MEDS events, and read from them.

MEDS (https://github.com/Medical-Event-Data-Standard/meds, version 0.4) fixes the
columns of events and the codes of birth and death; what else a code says is left to
who writes it. docs/sources.md tells what these mean and when they stand.
"""

from __future__ import annotations

import meds

from claimpt_tf.claims.events import SETTINGS

BIRTH = meds.birth_code
DEATH = meds.death_code
SEX = "GENDER//"
INSTITUTION = "INSTITUTION//"
ENROLMENT_START = "ENROLMENT//START"
ENROLMENT_END = "ENROLMENT//END"
VISIT_STARTS = {f"VISIT//{setting}//START": setting for setting in SETTINGS}
VISIT_ENDS = {f"VISIT//{setting}//END": setting for setting in SETTINGS}
SEPARATOR = "//"  # between a code's system and the code
ENCOUNTER = "visit_id"  # a column of ours that MEDS allows: one number a visit
