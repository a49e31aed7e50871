"""What a report says about where its data and its software came from."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Final

import claimpt_tf

SOURCES: Final = {
    "tuva": "Tuva input layer (medical_claim, pharmacy_claim, eligibility)",
    "synpuf": "CMS DE-SynPUF 2008-2010",
    "synthea": "Synthea CSV export",
    "omop": "OMOP CDM tables",
}
SYNTHETIC_SOURCES: Final = {
    "synpuf": "CMS DE-SynPUF is synthetic: its values are perturbed by design.",
    "synthea": "Synthea's patients are generated.",
}
SIMULATED: Final = (
    "The members were made by this project's simulator; none describes a real person."
)
_PACKAGES: Final = (
    "tensorflow",
    "keras",
    "tfx",
    "apache-beam",
    "numpy",
    "polars",
    "scikit-learn",
    "statsmodels",
    "lightgbm",
)


def source_title(source: str) -> str:
    """The input standard as a reader knows it.

    >>> source_title("synpuf")
    'CMS DE-SynPUF 2008-2010'
    """
    return SOURCES.get(source, source)


def synthetic_note(source: str, simulated: bool) -> str | None:
    """Why the data describes nobody, or None where it may be real.

    >>> synthetic_note("tuva", simulated=True).split(";")[0]
    "The members were made by this project's simulator"
    """
    return SIMULATED if simulated else SYNTHETIC_SOURCES.get(source)


def versions() -> dict[str, str]:
    """Package -> installed version, Python and this package first."""
    found = {"claimpt_tf": claimpt_tf.__version__, "Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
