"""Count features against counting by hand; nothing from after the index date."""

from __future__ import annotations

import datetime
import time

import numpy as np
import polars as pl
import pytest

from claimpt_tf.claims.events import SETTINGS
from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.ages import AGE_BANDS, age_band
from claimpt_tf.evaluation.counts import CountFeatures

DAYS = {"all": 10**6, "365d": 365, "90d": 90}


def by_hand(row: dict, name: str, category_of) -> float:
    """One feature of one labelled example, straight from its definition."""
    index = row["index_day"]
    what, _, window = name.partition("@")
    visits = [
        visit
        for visit in zip(
            row["visit_days"],
            row["visit_types"],
            row["visit_length"],
            row["codes"],
            row["cost"],
            strict=True,
        )
        if visit[0] + visit[2] <= index
    ]
    if window:
        visits = [visit for visit in visits if index - visit[0] < DAYS[window]]
    kind, _, rest = what.partition("[")
    item = rest.rstrip("]")
    if kind == "code":
        return sum(item in visit[3] for visit in visits)
    if kind == "category":
        return sum(item in category_of(visit[3]) for visit in visits)
    if kind == "type":
        return sum(visit[1] == item for visit in visits)
    if kind == "visits":
        return len(visits)
    if kind == "hospital_days":
        return sum(visit[2] for visit in visits if visit[1] == "IP")
    if kind == "cost":
        return sum(visit[4] for visit in visits)
    years = (index - row["birth_days"]) / 365.25
    if kind == "age" and not item:
        return years
    if kind == "age":
        bounds = [0, 1, 5, 12, 18, 45, 65, 200]
        place = AGE_BANDS.index(item)
        return 0 if item == "unknown" else bounds[place] <= years < bounds[place + 1]
    if kind == "sex":
        return row["sex"] == item
    if kind == "enrolled_days":
        spans = zip(row["enrolled_from"], row["enrolled_to"], strict=True)
        return sum(max(0, min(end, index) - start + 1) for start, end in spans)
    if kind == "no_visits":
        return not visits
    assert kind == "days_since_last_visit"
    return min((index - visit[0] - visit[2] for visit in visits), default=0)


def test_features_are_what_counting_by_hand_gives(
    make_labelled, three_characters
) -> None:
    frame = make_labelled(60, seed=1, rows_each=2, after_index=True)
    features = CountFeatures(three_characters, min_patients=5).fit(frame)
    found = features.transform(frame).toarray()
    assert found.shape == (120, len(features.names))
    assert len(set(features.names)) == len(features.names)
    rows = frame.to_dicts()
    expected = np.array(
        [
            [by_hand(row, name, three_characters) for name in features.names]
            for row in rows
        ]
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    for kind in ("code[", "category[", "type[IP]", "hospital_days", "cost"):
        some = [name.startswith(kind) for name in features.names]
        assert found[:, some].any(), kind


def test_columns_come_from_enough_training_patients(
    make_labelled, three_characters
) -> None:
    frame = make_labelled(50, seed=2, rows_each=3)
    features = CountFeatures(three_characters, min_patients=10).fit(frame)
    patients: dict[str, set[str]] = {}
    for row in frame.iter_rows(named=True):
        for visit in row["codes"]:
            for code in visit:
                patients.setdefault(code, set()).add(row["patient_id"])
    expected = {code for code, seen in patients.items() if len(seen) >= 10}
    found = {
        name[5:-5]
        for name in features.names
        if name.startswith("code[") and "@all" in name
    }
    assert found == expected
    other = make_labelled(30, seed=3).with_columns(
        codes=pl.col("codes").list.eval(pl.lit(["NEW:1"], dtype=pl.List(pl.String)))
    )
    columns = [name.startswith("code[") for name in features.names]
    assert features.transform(other)[:, columns].nnz == 0


def test_what_comes_after_the_index_date_changes_nothing(
    make_labelled, three_characters
) -> None:
    clean = make_labelled(80, seed=4)
    late = clean.with_columns(
        visit_days=pl.concat_list("visit_days", pl.col("index_day") - 2, "index_day"),
        visit_types=pl.concat_list("visit_types", pl.lit("IP"), pl.lit("ED")),
        # Begun before the index date, ended after it: not known on it.
        visit_length=pl.concat_list(
            "visit_length", pl.lit(3, pl.Int64), pl.lit(1, pl.Int64)
        ),
        codes=pl.concat_list(
            "codes",
            pl.lit(
                [["ICD10CM:LATE"], ["ICD10CM:LATER"]], dtype=pl.List(pl.List(pl.String))
            ),
        ),
        cost=pl.concat_list("cost", pl.lit([9e6, 9e6], dtype=pl.List(pl.Float32))),
        label=1 - pl.col("label"),
        enrolled_to=pl.col("enrolled_to").list.eval(pl.element() + 500),
    )
    assert (
        late["visit_days"].list.len().sum()
        == clean["visit_days"].list.len().sum() + 160
    )
    features, again = (
        CountFeatures(three_characters).fit(frame) for frame in (clean, late)
    )
    assert features.names == again.names
    assert (features.transform(clean) != features.transform(late)).nnz == 0


def test_members_without_visits_codes_or_birth_date(
    three_characters, make_labelled
) -> None:
    frame = make_labelled(3, seed=5).with_columns(
        visit_days=pl.lit([], dtype=pl.List(pl.Int64)),
        visit_types=pl.lit([], dtype=pl.List(pl.String)),
        visit_length=pl.lit([], dtype=pl.List(pl.Int64)),
        codes=pl.lit([], dtype=pl.List(pl.List(pl.String))),
        cost=pl.lit([], dtype=pl.List(pl.Float32)),
        birth_days=pl.lit(None, dtype=pl.Int64),
        enrolled_from=pl.lit([], dtype=pl.List(pl.Int64)),
        enrolled_to=pl.lit([], dtype=pl.List(pl.Int64)),
    )
    features = CountFeatures(three_characters).fit(frame)
    table = dict(
        zip(features.names, features.transform(frame).toarray().T, strict=True)
    )
    assert table["no_visits"].tolist() == [1, 1, 1]
    assert table["age[unknown]"].tolist() == [1, 1, 1]
    assert table["age"].tolist() == [0, 0, 0]
    assert not any(name.startswith("code[") for name in features.names)


def test_the_projects_own_categories_are_the_default(make_labelled) -> None:
    frame = make_labelled(30, seed=6).with_columns(
        codes=pl.col("codes").list.eval(
            pl.lit(["ICD10CM:J45901", "ICD10CM:J4520"], dtype=pl.List(pl.String))
        )
    )
    features = CountFeatures().fit(frame)
    table = dict(
        zip(features.names, features.transform(frame).toarray().T, strict=True)
    )
    categories = [
        name for name in table if name.startswith("category[") and "@all" in name
    ]
    assert len(categories) == 1
    visits = frame["visit_days"].list.len().to_numpy()
    assert table[categories[0]].tolist() == visits.tolist()  # once a visit, not twice


def test_other_frames_are_refused(make_labelled, three_characters) -> None:
    frame = make_labelled(10)
    with pytest.raises(ArtifactError, match="column visit_length, cost is missing"):
        CountFeatures(three_characters).fit(frame.drop("cost", "visit_length"))
    with pytest.raises(ArtifactError, match="call fit first"):
        CountFeatures(three_characters).transform(frame)
    with pytest.raises(ArtifactError, match="no training rows"):
        CountFeatures(three_characters).fit(frame.head(0))


def test_age_bands_follow_completed_years() -> None:
    birth = datetime.date(2010, 6, 15)
    epoch = datetime.date(1970, 1, 1)
    cases = {
        datetime.date(2011, 6, 14): "under 1",
        datetime.date(2011, 6, 16): "1-4",
        datetime.date(2022, 6, 14): "5-11",
        datetime.date(2022, 6, 16): "12-17",
        datetime.date(2028, 6, 16): "18-44",
        datetime.date(2076, 1, 1): "65 and over",
    }
    frame = pl.DataFrame(
        {
            "birth_days": [(birth - epoch).days] * len(cases),
            "index_day": [(day - epoch).days for day in cases],
        }
    )
    assert frame.select(age_band()).to_series().to_list() == list(cases.values())


def test_settings_are_those_of_the_record() -> None:
    assert SETTINGS == ("IP", "ED", "OP", "RX", "OTHER")


@pytest.mark.slow
def test_twenty_thousand_members_take_less_than_a_minute(
    make_labelled, three_characters
) -> None:
    some = make_labelled(2000, seed=7)
    frame = pl.concat(
        some.with_columns(patient_id=pl.col("patient_id") + str(copy))
        for copy in range(10)
    )
    started = time.process_time()
    table = CountFeatures(three_characters).fit(frame).transform(frame)
    assert table.shape[0] == 20_000
    assert time.process_time() - started < 60
