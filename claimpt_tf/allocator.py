"""How this process asks glibc for memory; elsewhere nothing happens.

The numbers are those of mallopt in glibc's malloc.h.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
_MMAP_MAX: Final = -4
_ARENA_MAX: Final = -8


def keep_freed_memory() -> None:
    """Lets this process keep what it frees for the next step.

    Else every step's larger tensors are given back to the kernel and faulted in again,
    page by page.
    """
    _set({_TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 << 20, _MMAP_MAX: 0})


def share_arenas() -> None:
    """One heap a core, before threads begin; glibc's own choice is eight.

    With many more threads than cores each heap otherwise grows to the largest request
    that its threads ever met.
    """
    _set({_ARENA_MAX: os.cpu_count() or 1})


def _set(parameters: dict[int, int]) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in parameters.items():
            mallopt(parameter, ctypes.c_int(value))
