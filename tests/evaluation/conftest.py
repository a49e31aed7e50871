"""Labelled examples with a known risk, made here so that each test knows the truth."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import pytest

INDEX_DAY = 19_000


def three_characters(codes: Sequence[str]) -> list[str]:
    """A category map small enough to check by eye: system and three characters."""
    return [code.split(":")[0] + ":" + code.split(":")[1][:3] for code in codes]


def make_labelled(
    members: int, seed: int = 0, rows_each: int = 1, after_index: bool = False
) -> pl.DataFrame:
    """Labelled examples whose risk follows the latest year's ED visits and age.

    Args:
        members: how many.
        seed: of everything.
        rows_each: index dates a member, 60 days apart.
        after_index: also put visits that are known only after the index date.
    """
    generator = np.random.default_rng(seed)
    systems = ("ICD10CM", "HCPCS", "NDC")
    rows = []
    for member in range(members):
        birth = INDEX_DAY - int(generator.integers(200, 6500))
        severity = generator.normal()
        hashed = hashlib.sha256(f"{seed}-{member}".encode()).hexdigest()[:32]
        for step in range(rows_each):
            index = INDEX_DAY + 60 * step
            count = int(generator.poisson(np.exp(2.5 + 0.4 * severity)))
            days = np.sort(generator.integers(index - 1000, index + 1, count))
            kinds = generator.choice(
                ["IP", "ED", "OP", "RX", "OTHER"], count, p=[0.03, 0.12, 0.5, 0.3, 0.05]
            )
            length = np.where(kinds == "IP", generator.integers(0, 9, count), 0)
            if not after_index:
                length = np.minimum(length, index - days)
            codes = []
            for _ in range(count):
                picked = np.minimum(
                    generator.geometric(0.02, generator.integers(0, 5)), 300
                )
                codes.append(
                    [
                        f"{systems[one % 3]}:{chr(65 + one % 9)}{one:04d}"
                        for one in dict.fromkeys(picked.tolist())
                    ]
                )
            recent = (days > index - 365) & (kinds == "ED")
            logit = -2.4 + 0.9 * recent.sum() + 0.5 * severity
            rows.append(
                {
                    "patient_id": hashed,
                    "sex": str(generator.choice(["F", "M"])),
                    "birth_days": birth,
                    "institution": str(generator.choice(["A", "B"])),
                    "enrolled_from": [index - 900],
                    "enrolled_to": [index + 200],
                    "visit_days": days.tolist(),
                    "visit_types": kinds.tolist(),
                    "visit_length": length.tolist(),
                    "codes": codes,
                    "cost": generator.gamma(2, 100, count).round(2).tolist(),
                    "index_day": index,
                    "label": int(generator.random() < 1 / (1 + np.exp(-logit))),
                    "visit_outcome": [0] * count,
                    "risk": float(1 / (1 + np.exp(-logit))),
                }
            )
    return pl.DataFrame(
        rows,
        schema_overrides={
            "cost": pl.List(pl.Float32),
            "codes": pl.List(pl.List(pl.String)),
            "visit_days": pl.List(pl.Int64),
            "visit_types": pl.List(pl.String),
            "visit_length": pl.List(pl.Int64),
            "visit_outcome": pl.List(pl.Int64),
        },
        infer_schema_length=None,
    )


@pytest.fixture(name="three_characters", scope="session")
def _three_characters() -> Callable[[Sequence[str]], list[str]]:
    return three_characters


@pytest.fixture(name="make_labelled", scope="session")
def _make_labelled() -> Callable[..., pl.DataFrame]:
    return make_labelled
