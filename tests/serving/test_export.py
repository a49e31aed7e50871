"""A real risk model: explanations that add up, and the same scores everywhere."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from claimpt_tf.errors import ArtifactError, InputError
from claimpt_tf.serving.check import check_servable
from claimpt_tf.serving.client import Client
from claimpt_tf.serving.cpp_session import CppSession
from claimpt_tf.serving.grpc_client import GrpcClient
from claimpt_tf.serving.requests import to_examples, to_predict_inputs
from claimpt_tf.serving.score import score_records
from claimpt_tf.serving.server import LocalServer
from claimpt_tf.visits.records import write_records

pytestmark = pytest.mark.slow
CODES = [
    f"{system}:{letter}{number:03}"
    for system in ("ICD10CM", "HCPCS")
    for letter in "ABJ"
    for number in range(40)
]


def members_of(count: int, seed: int = 5) -> list[dict[str, Any]]:
    """Invented members with 0 to 12 visits, in any order."""
    draw = np.random.default_rng(seed)
    start = datetime.date(2021, 1, 1)

    def visit() -> dict[str, Any]:
        day = start + datetime.timedelta(days=int(draw.integers(0, 800)))
        return {
            "date": day.isoformat(),
            "type": str(draw.choice(["IP", "ED", "OP", "RX"])),
            "codes": [str(c) for c in draw.choice(CODES, draw.integers(0, 5))],
            "length": int(draw.integers(0, 4)),
            "cost": float(draw.integers(0, 900)),
        }

    return [
        {
            "sex": "FMU"[at % 3],
            "birth_date": f"{2005 + at % 14}-0{1 + at % 9}-11",
            "index_date": "2023-06-30",
            "visits": [visit() for _ in range(draw.integers(0, 13))],
        }
        for at in range(count)
    ]


@pytest.fixture(scope="module")
def risk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A tiny network behind a real Transform graph; folder, model, layer, limits."""
    import keras
    import tensorflow as tf

    from claimpt_tf.models.presets import backbone
    from claimpt_tf.models.risk_model import risk_model
    from claimpt_tf.serving.export import export_risk_model
    from claimpt_tf.serving.warmup import write_warmup
    from claimpt_tf.training.choices import Limits
    from claimpt_tf.visits import ids

    tables = {}
    for name, words in (("codes", CODES), ("stems", sorted({c[:-2] for c in CODES}))):
        file = tmp_path_factory.mktemp("vocabulary") / name
        file.write_text("\n".join(words))
        tables[name] = (str(file), len(words))

    class Layer(tf.Module):
        """What the Transform graph does, over vocabularies of the test's own."""

        def __init__(self) -> None:
            super().__init__()
            self.tables = {
                name: tf.lookup.StaticVocabularyTable(
                    tf.lookup.TextFileInitializer(
                        path, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
                        tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER,
                    ),
                    1,
                )
                for name, (path, _) in tables.items()
            }  # fmt: skip

        def _ids(self, name: str, codes: Any) -> Any:
            found = self.tables[name].lookup(codes.flat_values)
            known = found < tables[name][1]
            return codes.with_flat_values(
                tf.where(known, found + ids.FIRST_CODE, ids.UNKNOWN)
            )

        def __call__(self, x: Any) -> Any:
            def index(values: Any, names: Any, otherwise: int) -> Any:
                found = tf.fill(tf.shape(values), tf.constant(otherwise, tf.int64))
                for at, name in enumerate(names, start=1):
                    found = tf.where(values == name, tf.constant(at, tf.int64), found)
                return found

            codes, types, cost = x["codes"], x["visit_types"], x["cost"]
            stems = tf.strings.regex_replace(codes.flat_values, r"^(.*?)..$", r"\1")
            return {
                "code_ids": self._ids("codes", codes),
                "stem_ids": self._ids("stems", codes.with_flat_values(stems)),
                "visit_day": x["visit_days"],
                "visit_length": x["visit_length"],
                "visit_type": types.with_flat_values(
                    index(types.flat_values, ids.VISIT_TYPES, 5)
                ),
                "log_cost": cost.with_flat_values(tf.math.log1p(cost.flat_values)),
                "enrolled_to": x["enrolled_to"],
                "sex": index(x["sex"], ids.SEXES, 0),
                "birth_day": x["birth_days"],
            }

    keras.utils.set_random_seed(11)
    sizes = {name: ids.FIRST_CODE + count for name, (_, count) in tables.items()}
    model = risk_model(backbone("tiny", sizes["codes"], sizes["stems"], layers=1))
    layer, limits = Layer(), Limits(visits=10, codes=4)
    base = tmp_path_factory.mktemp("risk") / "claimpt"
    facts = {"task": "t", "thresholds": {"top_5_percent": 0.4}}
    export_risk_model(model, layer, limits, str(base / "1"), facts)
    write_warmup(base / "1")
    yield base, model, layer, limits


def keras_scores(risk: Any, examples: list[bytes]) -> np.ndarray:
    import tensorflow as tf

    from claimpt_tf.training.inputs import as_of
    from claimpt_tf.visits.parse import parse

    _, model, layer, limits = risk
    record = dict(parse(tf.constant(examples)))
    day = record.pop("index_day")
    logit = model(as_of(layer(record), day, limits), training=False)["logit"][:, 0]
    return tf.sigmoid(logit).numpy()


def test_a_thousand_members_score_alike_everywhere(risk: Any) -> None:
    base = risk[0]
    members = members_of(1000)
    examples = to_examples(members)
    wanted = keras_scores(risk, examples)
    assert wanted.std() > 0.01
    check = check_servable(base, examples, wanted)
    assert check.problems == [] and check.python_ops == []
    assert set(check.signatures) == {
        "serving_default", "predict", "explain", "embed", "classify", "regress",
    }  # fmt: skip
    with LocalServer(base, rest_port=0, grpc_port=0) as server:
        with Client(server.url) as client:
            np.testing.assert_allclose(client.predict(members), wanted, atol=1e-5)
        with GrpcClient(str(server.grpc_address)) as client:
            np.testing.assert_allclose(client.predict(members), wanted, atol=1e-5)
            few = members[:3]
            states = client.embed(few)
            assert states.shape == (3, 32) and states.std() > 0
            for one, score in zip(client.explain(few), wanted, strict=False):
                shares = sum(visit.share for visit in one.visits)
                assert one.probability == pytest.approx(score, abs=1e-5)
                assert shares == pytest.approx(
                    one.probability - one.reference, abs=1e-5
                )


def test_shares_are_what_each_code_adds(risk: Any) -> None:
    """Against plain scoring of the histories that an explanation walks through."""
    first = {"date": "2022-03-01", "type": "ED", "codes": ["ICD10CM:J001"], "cost": 9.0}
    other = {"date": "2023-05-01", "type": "OP", "codes": ["HCPCS:A002", "HCPCS:B003"]}
    late = {**other, "date": "2023-06-29"}
    person = {"sex": "F", "birth_date": "2012-04-03", "index_date": "2023-06-30"}
    with CppSession(risk[0] / "1") as session:

        def score(*visits: Any) -> float:
            inputs = to_predict_inputs([{**person, "visits": list(visits)}])
            return float(session.run("predict", inputs)["probability"][0])

        full = to_predict_inputs([{**person, "visits": [first, other]}])
        found = session.run("explain", full)
        bare = {**first, "codes": []}
        forth = score(first) - score(), score(first) - score(bare)
        back = (
            score(first, other) - score(other),
            (score(first, other) - score(bare, other)),
        )
        assert found["reference"][0] == pytest.approx(score(), abs=1e-6)
        share = (forth[0] + back[0]) / 2, (forth[1] + back[1]) / 2
        assert found["visit_share"][0, 0] == pytest.approx(share[0], abs=1e-6)
        assert found["code_share"][0, 0, 0] == pytest.approx(share[1], abs=1e-6)

        # Nobody in the batch has a visit.
        found = session.run("explain", to_predict_inputs([{**person, "visits": []}]))
        assert found["probability"][0] == found["reference"][0]
        assert found["probability"][0] == pytest.approx(score(), abs=1e-6)
        assert not found["visit_share"].any() and not found["code_share"].any()

        # What the network is not shown has no share: later visits, codes past the cut.
        cut = to_predict_inputs([{**person, "visits": [first, other, late]}])
        cut["index_day"] -= 10
        found = session.run("explain", cut)
        assert found["visit_share"].shape == (1, 3)
        assert found["visit_share"][0, 2] == 0 and not found["code_share"][0, 2].any()
        assert found["visit_share"][0, :2].all()

        # Beyond the cut of ten visits and four codes, in a batch of unlike lengths.
        members = members_of(12)
        members[0]["visits"] = [
            {**first, "date": f"2022-0{1 + i // 2}-1{i}", "codes": CODES[i : i + 7]}
            for i in range(10)
        ] + [other, late]
        inputs = to_predict_inputs(members)
        found = session.run("explain", inputs)
        plain = session.run("predict", inputs)["probability"]
        np.testing.assert_allclose(found["probability"], plain, atol=1e-6)
        total = found["visit_share"].sum(1)
        np.testing.assert_allclose(total, plain - found["reference"], atol=1e-5)
        assert not found["visit_share"][0, :2].any()
        assert not found["code_share"][0, :, 4:].any()
        assert (found["code_share"][inputs["codes"] == ""] == 0).all()


def test_scores_of_files_are_those_of_the_model(risk: Any, tmp_path: Path) -> None:
    from claimpt_tf.claims.privacy import hash_members

    base, members = risk[0], members_of(60)
    raw = [f"M{at}" for at in range(60)]
    key = tmp_path / "key"
    key.write_text("an example key, no more")
    hashed = hash_members(pl.Series(raw), key.read_bytes())
    examples = [
        _with_id(record, member)
        for record, member in zip(to_examples(members), hashed, strict=True)
    ]
    for part, some in enumerate((examples[:25], examples[25:])):
        write_records(some, tmp_path / "in" / f"part-{part}.gz")
    pl.DataFrame({"member_id": raw[:30]}).write_parquet(tmp_path / "ids.parquet")
    options: dict[str, Any] = {
        "reasons": 2, "reasons_above": 0.0, "workers": 1, "batch_size": 16,
        "ids_file": str(tmp_path / "ids.parquet"), "key_file": str(key),
    }  # fmt: skip
    out = tmp_path / "out"
    done = score_records([str(tmp_path / "in")], base, out, **options)
    assert (done.members, done.files, done.skipped) == (60, 2, 0)
    table = pl.read_parquet(out / "*.parquet")
    wanted = keras_scores(risk, examples)
    np.testing.assert_allclose(table["probability"], wanted, atol=1e-5)
    assert table["patient_id"].to_list() == hashed.to_list()
    assert table["member_id"].to_list() == [*raw[:30], *[None] * 30]
    assert table["index_date"].unique().to_list() == [datetime.date(2023, 6, 30)]
    named = table["reasons"].list.len().to_list()
    codes = [len({c for v in m["visits"][-10:] for c in v["codes"]}) for m in members]
    assert all(n == 2 for n, c in zip(named, codes, strict=True) if c > 8)

    (out / "part-1.parquet").unlink()  # killed before it was done
    done = score_records([str(tmp_path / "in")], base, out, **options)
    assert (done.members, done.files, done.skipped) == (35, 1, 1)
    with pytest.raises(ArtifactError, match="scores of another model, date or data"):
        score_records([str(tmp_path / "in")], base, out, **{**options, "reasons": 1})
    with pytest.raises(ArtifactError, match="no records here"):
        score_records([str(tmp_path / "none")], base, tmp_path / "x")
    pl.DataFrame({"id": raw}).write_parquet(tmp_path / "ids.parquet")
    with pytest.raises(InputError, match="has no column member_id"):
        score_records([str(tmp_path / "in")], base, tmp_path / "y", **options)


def _with_id(record: bytes, member: str) -> bytes:
    from claimpt_tf.serving import protos

    example = protos.Example.FromString(record)
    values = example.features.feature["patient_id"].bytes_list.value
    del values[:]
    values.append(member.encode())
    return example.SerializeToString()


def test_facts_travel_with_the_model(risk: Any, tmp_path: Path) -> None:
    import json

    moved = shutil.copytree(risk[0], tmp_path / "moved")
    facts = json.loads((Path(moved) / "1/assets.extra/claimpt.json").read_text())
    assert facts["thresholds"] == {"top_5_percent": 0.4}
