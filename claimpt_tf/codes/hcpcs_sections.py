"""Where a HCPCS code stands: ranges of numbers for level I, letters for level II.

The ranges are our own cuts through the numbers, by body system and kind of service.
No wording of the AMA's CPT is here, nor may it be.
"""

from __future__ import annotations

import bisect
import re

# First number of each range; a range ends where the next one starts.
_LEVEL_1_STARTS = (
    100, 2000, 10004, 10030, 20100, 22010, 23000, 25000, 26010, 27000, 27301, 28001,
    29000, 30000, 31231, 32035, 33016, 34001, 36000, 38100, 39000, 40490, 43020, 44005,
    46020, 47000, 49000, 50010, 51020, 52000, 54000, 55920, 56405, 59000, 60000, 61000,
    62263, 64400, 65091, 67027, 69000, 70010, 71045, 72020, 73000, 74018, 75557, 76000,
    76506, 77001, 77046, 77071, 77261, 78012, 80047, 80143, 80305, 80400, 80500, 81000,
    81105, 82009, 83000, 84000, 85002, 86000, 86850, 87003, 88000, 88230, 88300, 88720,
    89250, 90281, 90460, 90476, 90785, 90832, 90901, 90935, 91010, 92002, 92502, 92920,
    93000, 93303, 93451, 93600, 93880, 94002, 94010, 95004, 95249, 95700, 95980, 96040,
    96105, 96150, 96360, 96401, 96567, 96900, 97010, 97802, 97810, 98925, 98960, 99000,
    99091, 99100, 99151, 99170, 99202, 99217, 99221, 99231, 99234, 99238, 99241, 99251,
    99281, 99291, 99304, 99341, 99354, 99366, 99374, 99381, 99401, 99421, 99450, 99460,
    99466, 99483, 99500, 99605,
)  # fmt: skip
_LEVEL_1_END = 100_000

# Level II letters whose second character changes the subject.
_SPLIT_LETTERS = frozenset("AEJLV")

_LEVEL_1 = re.compile(r"^\d{5}$")
_LEVEL_1_SUFFIXED = re.compile(r"^\d{4}[A-Z]$")
_LEVEL_2 = re.compile(r"^[A-Z]\d{4}$")


def section_of(code: str) -> str | None:
    """The section of a canonical HCPCS code, or None for any other shape.

    Example:
      >>> section_of("99284"), section_of("J9035"), section_of("G0438")
      ('CPT:99281-99290', 'HCPCS2:J9', 'HCPCS2:G')
      >>> section_of("3008F"), section_of("XYZ")
      ('CPT:F', None)
    """
    if _LEVEL_1.match(code):
        number = int(code)
        place = bisect.bisect_right(_LEVEL_1_STARTS, number)
        start = _LEVEL_1_STARTS[place - 1] if place else 0
        ends = (*_LEVEL_1_STARTS, _LEVEL_1_END)
        return f"CPT:{start:05d}-{ends[place] - 1:05d}"
    if _LEVEL_1_SUFFIXED.match(code):
        return f"CPT:{code[4]}"
    if _LEVEL_2.match(code):
        return f"HCPCS2:{code[:2] if code[0] in _SPLIT_LETTERS else code[0]}"
    return None
