"""TensorFlow's oneDNN is left out where it corrupts memory, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from claimpt_tf.processor import spare_onednn

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"


def told(folder: Path, vendor: str, *flags: str) -> Path:
    file = folder / "cpuinfo"
    one = f"vendor_id\t: {vendor}\nflags\t\t: fpu {' '.join(flags)}\n"
    file.write_text(f"processor\t: 0\n{one}\nprocessor\t: 1\n{one}\n")
    return file


@pytest.mark.parametrize(
    ("vendor", "flags", "given", "wanted"),
    [
        ("AuthenticAMD", ["avx512f", "avx512_vp2intersect"], None, "0"),
        ("AuthenticAMD", ["avx512f", "avx512_vp2intersect"], "1", "1"),
        ("AuthenticAMD", ["avx512f"], None, None),
        ("GenuineIntel", ["avx512f", "avx512_vp2intersect"], None, None),
    ],
)
def test_it_depends_on_the_processor(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    vendor: str,
    flags: list[str],
    given: str | None,
    wanted: str | None,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if given is not None:
        monkeypatch.setenv(VARIABLE, given)
    spare_onednn(told(tmp_path, vendor, *flags))
    assert os.environ.get(VARIABLE) == wanted
    os.environ.pop(VARIABLE, None)


def test_no_description_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    spare_onednn(tmp_path / "none")
    assert VARIABLE not in os.environ
