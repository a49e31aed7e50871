"""Facts that travel with a served model, for whoever has to answer for its use."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

_TOP = (0.01, 0.05, 0.1, 0.2)
_FEWEST = 11  # counts below are not told: they could point at a person
INTENDED_USE = (
    "To rank members of a population like the one it was trained on for outreach by "
    "people who can look at the member; not to diagnose, to deny care, or to decide "
    "alone. Calibrated on that population: check it before use on another."
)


def model_facts(predictions: pl.DataFrame) -> dict[str, Any]:
    """What the rows of fine-tuning say of a model.

    Args:
        predictions: of fine-tuning: `split`, `index_date`, `probability`.

    Returns:
        `intended_use`; `data_span`, first and last index date of the training rows;
        `thresholds`, the risk at or above which each share of the held-out rows lies,
        where that is 11 rows or more.

    Example:
        >>> rows = pl.DataFrame({"split": ["eval"] * 100, "index_date": [None] * 100,
        ...     "probability": [i / 100 for i in range(100)]})
        >>> model_facts(rows)["thresholds"]
        {'top_20_percent': 0.8}
    """
    train = predictions.filter(pl.col("split") == "train")["index_date"]
    held = predictions.filter(pl.col("split") == "eval")["probability"].to_numpy()
    thresholds = {}
    for share in _TOP:
        count = int(len(held) * share)
        if count >= _FEWEST:
            ranked = np.sort(held)[::-1]
            thresholds[f"top_{share:.0%}".replace("%", "_percent")] = round(
                float(ranked[count - 1]), 6
            )
    span = [train.min(), train.max()] if len(train) else [None, None]
    return {
        "intended_use": INTENDED_USE,
        "data_span": [None if day is None else str(day) for day in span],
        "thresholds": thresholds,
    }
