"""What must be told to TensorFlow about the processor before it starts."""

from __future__ import annotations

import os
from itertools import takewhile
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
_TROUBLED = {"AuthenticAMD", "avx512_vp2intersect"}


def spare_onednn(cpuinfo: Path = CPUINFO) -> None:
    """Leaves TensorFlow's oneDNN out on AMD processors with AVX512_VP2INTERSECT.

    There the oneDNN of TensorFlow 2.16 writes past its memory (BUILD.md). Whoever has
    set TF_ENABLE_ONEDNN_OPTS is obeyed.

    Args:
      cpuinfo: Linux' description of the processor; where there is none, nothing is
        done.
    """
    try:
        with cpuinfo.open() as lines:  # of the first core: there may be hundreds
            told = " ".join(takewhile(str.strip, lines))
    except OSError:
        return
    if set(told.split()) >= _TROUBLED:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
