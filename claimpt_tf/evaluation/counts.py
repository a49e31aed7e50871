"""Count features of labelled examples: what a model without sequences gets to see.

Counts of visits by code, category and visit type over the whole history and the last
365 and 90 days, with age, sex and utilisation, as one sparse matrix. Columnar
throughout. Only visits known on or before the index date count: a visit whose last
day lies after it is dropped even when the frame holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import polars as pl
from scipy import sparse

from claimpt_tf.claims.events import SETTINGS
from claimpt_tf.codes import categories
from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.ages import AGE_BANDS, DAYS_A_YEAR, age_band

CategoryOf = Callable[[Sequence[str]], list[str]]

WINDOWS: Final = (("all", None), ("365d", 365), ("90d", 90))
MIN_PATIENTS = 3  # a code seen in fewer training patients tells next to nothing
COLUMNS: Final = (
    "patient_id",
    "sex",
    "birth_days",
    "enrolled_from",
    "enrolled_to",
    "visit_days",
    "visit_types",
    "visit_length",
    "codes",
    "cost",
    "index_day",
)
_UTILISATION: Final = ("visits", "hospital_days", "cost")
_PER_MEMBER: Final = (
    "age",
    *(f"age[{band}]" for band in AGE_BANDS),
    *(f"sex[{sex}]" for sex in ("F", "M", "U")),
    "enrolled_days",
    "days_since_last_visit",
    "no_visits",
)


class CountFeatures:
    """Counts by code, category and visit type, with age, sex and utilisation.

    `fit` learns which codes and categories have columns, from the training split
    only; `transform` makes a float32 CSR matrix of shape (rows, len(names)), rows in
    the frame's order. A code counts once a visit. Windows reach back from the index
    date by the visit's first day: "90d" is index_day - 90 < day <= index_day.

    Args:
        category_of: maps codes to categories, one each; by default
            `claimpt_tf.codes.categories.category_of`.
        min_patients: a code or category seen in fewer training patients gets no
            column.

    Attributes:
        names: one name a column, such as `code[ICD10CM:J45901]@90d`.
    """

    names: list[str]

    def __init__(
        self, category_of: CategoryOf | None = None, min_patients: int = MIN_PATIENTS
    ) -> None:
        self._category_of: CategoryOf = category_of or categories.category_of
        self._min_patients = min_patients
        self._vocabulary: dict[str, pl.DataFrame] = {}

    def fit(self, frame: pl.DataFrame) -> CountFeatures:
        """Learns the columns from labelled training examples; returns itself.

        Raises:
            ArtifactError: a column of labelled examples is missing, or no rows.
        """
        if not frame.height:
            raise ArtifactError("no training rows to learn count features from")
        visits = _visits(frame)
        self.names = list(_PER_MEMBER)
        for window, _ in WINDOWS:
            self.names += [f"{name}@{window}" for name in _UTILISATION]
            self.names += [f"type[{name}]@{window}" for name in SETTINGS]
        patients = frame.select("patient_id").with_row_index("row")
        for kind, items in self._items(visits).items():
            often = (
                items.join(patients, on="row")
                .group_by("item")
                .agg(pl.col("patient_id").n_unique())
                .filter(pl.col("patient_id") >= self._min_patients)
                .sort("item")
            )
            self._vocabulary[kind] = often.select(
                "item", pl.int_range(pl.len(), dtype=pl.Int64).alias("column")
            )
            for window, _ in WINDOWS:
                self.names += [f"{kind}[{item}]@{window}" for item in often["item"]]
        return self

    def transform(self, frame: pl.DataFrame) -> sparse.csr_matrix:
        """The features of labelled examples.

        Raises:
            ArtifactError: not fitted, or a column is missing.
        """
        if not self._vocabulary:
            raise ArtifactError("count features are not fitted; call fit first")
        visits = _visits(frame)
        rows, columns, values = [], [], []

        def add(table: pl.DataFrame, first: int) -> None:
            rows.append(table["row"].to_numpy())
            columns.append(table["column"].to_numpy() + first)
            values.append(table["value"].cast(pl.Float32).to_numpy())

        add(_per_member(frame, visits), 0)
        first = len(_PER_MEMBER)
        for _, days in WINDOWS:
            recent = _within(visits, days)
            add(_utilisation(recent), first)
            first += len(_UTILISATION)
            add(_visit_types(recent), first)
            first += len(SETTINGS)
        for kind, items in self._items(visits).items():
            known = self._vocabulary[kind]
            items = items.join(known, on="item").select("row", "ago", "column")
            for _, days in WINDOWS:
                counted = _within(items, days).group_by("row", "column").len("value")
                add(counted, first)
                first += known.height
        table = sparse.csr_matrix(
            (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
            shape=(frame.height, len(self.names)),
            dtype=np.float32,
        )
        table.eliminate_zeros()
        table.sort_indices()
        return table

    def _items(self, visits: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Kind -> (row, ago, item), each item once a visit."""
        codes = (
            visits.select("row", "visit", "ago", item="codes")
            .explode("item")
            .drop_nulls("item")
            .unique(["visit", "item"])
        )
        distinct = codes["item"].unique().sort()
        groups = pl.DataFrame(
            {
                "item": distinct,
                "group": pl.Series(
                    self._category_of(distinct.to_list()), dtype=pl.String
                ),
            }
        )
        grouped = (
            codes.join(groups, on="item")
            .select("row", "visit", "ago", item="group")
            .drop_nulls("item")
            .unique(["visit", "item"])
        )
        return {"code": codes, "category": grouped}


def _visits(frame: pl.DataFrame) -> pl.DataFrame:
    """One row a visit known on or before its row's index date."""
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise ArtifactError(
            f"these are no labelled examples: column {', '.join(missing)} is missing; "
            "give the frame that the task's labelling returned"
        )
    lists = ["visit_days", "visit_types", "visit_length", "codes", "cost"]
    return (
        frame.select(
            pl.int_range(pl.len(), dtype=pl.Int64).alias("row"), "index_day", *lists
        )
        .explode(lists)
        .drop_nulls("visit_days")
        .filter(pl.col("visit_days") + pl.col("visit_length") <= pl.col("index_day"))
        .with_columns(ago=pl.col("index_day") - pl.col("visit_days"))
        .with_row_index("visit")
    )


def _within(table: pl.DataFrame, days: int | None) -> pl.DataFrame:
    return table if days is None else table.filter(pl.col("ago") < days)


def _melted(wide: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """(row, column, value) of the named columns, in their order."""
    return pl.concat(
        [
            wide.select(
                "row",
                column=pl.lit(position, pl.Int64),
                value=pl.col(name).cast(pl.Float64),
            )
            for position, name in enumerate(names)
        ]
    ).filter(pl.col("value") != 0)


def _utilisation(visits: pl.DataFrame) -> pl.DataFrame:
    wide = visits.group_by("row").agg(
        visits=pl.len(),
        hospital_days=pl.col("visit_length")
        .filter(pl.col("visit_types") == "IP")
        .sum(),
        cost=pl.col("cost").cast(pl.Float64).clip(lower_bound=0).sum(),
    )
    return _melted(wide, _UTILISATION)


def _visit_types(visits: pl.DataFrame) -> pl.DataFrame:
    wide = visits.group_by("row").agg(
        (pl.col("visit_types") == name).sum().alias(name) for name in SETTINGS
    )
    return _melted(wide, SETTINGS)


def _per_member(frame: pl.DataFrame, visits: pl.DataFrame) -> pl.DataFrame:
    last = visits.group_by("row").agg(
        since=(pl.col("ago") - pl.col("visit_length")).min()
    )
    row = pl.int_range(pl.len(), dtype=pl.Int64).alias("row")
    spans = (
        frame.select(row, "index_day", "enrolled_from", "enrolled_to")
        .explode("enrolled_from", "enrolled_to")
        .with_columns(until=pl.min_horizontal("enrolled_to", "index_day"))
        .group_by("row")
        .agg(
            enrolled_days=(pl.col("until") - pl.col("enrolled_from") + 1)
            .clip(lower_bound=0)
            .sum()
        )
    )
    age = (pl.col("index_day") - pl.col("birth_days")) / DAYS_A_YEAR
    wide = (
        frame.select(row, "sex", age=age, band=age_band())
        .join(spans, on="row", how="left")
        .join(last, on="row", how="left")
        .select(
            "row",
            pl.col("age").clip(lower_bound=0).fill_null(0),
            *((pl.col("band") == band).alias(f"age[{band}]") for band in AGE_BANDS),
            *((pl.col("sex") == sex).alias(f"sex[{sex}]") for sex in ("F", "M", "U")),
            pl.col("enrolled_days").fill_null(0),
            days_since_last_visit=pl.col("since").fill_null(0),
            no_visits=pl.col("since").is_null(),
        )
    )
    return _melted(wide, _PER_MEMBER)
