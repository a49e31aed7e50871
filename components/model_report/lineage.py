"""Where a model came from, by what ML Metadata knows of the artifacts behind it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from tfx.components.example_gen.utils import SPAN_PROPERTY_NAME
from tfx.types import Artifact

import claimpt_tf
from components.claims_example_gen.executor import SUMMARY_FILE

RECORDS = "records"
_FINGERPRINT = "input_fingerprint"


def lineage_of(
    inputs: Mapping[str, Sequence[Artifact]], parameters: Mapping[str, Any], run: str
) -> dict[str, str]:
    """Heading -> text about data, code, parameters and artifacts.

    Addresses are given below the folder that all artifacts share, since a page that is
    sent on should not tell where somebody keeps data.

    Args:
      inputs: Artifacts by name, as an executor gets them.
      parameters: Step -> its choices.
      run: Id of the pipeline run, "" where unknown.
    """
    told: dict[str, str] = {}
    for records in inputs.get(RECORDS, ()):
        told |= _data(records)
    versions = f"claimpt_tf {claimpt_tf.__version__}, tfx {metadata.version('tfx')}"
    told["Code"] = versions
    if run:
        told["Pipeline run"] = run
    for step, choices in parameters.items():
        told[f"Parameters: {step}"] = _choices(choices)
    artifacts = {
        f"{name} {at + 1}" if len(listed) > 1 else name: artifact
        for name, listed in sorted(inputs.items())
        for at, artifact in enumerate(listed)
    }
    above = _above([artifact.uri for artifact in artifacts.values()])
    for name, artifact in artifacts.items():
        known = f", id {artifact.id}" if artifact.id else ""
        place = artifact.uri.removeprefix(above).lstrip("/")
        told[f"Artifact: {name}"] = f"{artifact.type_name}{known}, {place}"
    return told


def _data(records: Artifact) -> dict[str, str]:
    told: dict[str, str] = {}
    path = Path(records.uri) / SUMMARY_FILE
    if path.exists():
        summary = json.loads(path.read_text())
        months = (summary["first_month"], summary["last_month"])
        if all(months):
            shifted = ", shifted by member" if summary["dates_shifted"] else ""
            told["Data span"] = f"{' to '.join(months)}{shifted}"
    span = records.get_int_custom_property(SPAN_PROPERTY_NAME)
    if span:  # 0 without spans
        told["Newest span"] = str(span)
    fingerprint = records.get_string_custom_property(_FINGERPRINT)
    if fingerprint:
        told["Input fingerprint"] = fingerprint
    return told


def _choices(choices: Any) -> str:
    if not isinstance(choices, Mapping):
        return str(choices)
    return ", ".join(
        f"{name} {json.dumps(value) if isinstance(value, (dict, list)) else value}"
        for name, value in choices.items()
        if value not in ("", None, (), [])
    )


def _above(uris: Sequence[str]) -> str:
    """The folder that all lie below; "" of a single one or of several buckets."""
    try:
        return os.path.commonpath(uris) if len(uris) > 1 else ""
    except ValueError:  # absolute and relative ones
        return ""
