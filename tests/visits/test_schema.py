"""What TensorFlow's readers make of records: TFXIO, TFDV and the graph parser."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2

from claimpt_tf.visits.parse import parse
from claimpt_tf.visits.records import (
    LABELLED_SCHEMA,
    TIMELINE_SCHEMA,
    encode,
    write_records,
)
from claimpt_tf.visits.schema import labelled_schema, load_schema

ROWS = [
    {
        "patient_id": "ab" * 16,
        "sex": "F",
        "birth_days": 12_000,
        "institution": "north",
        "enrolled_from": [14_000, 15_000],
        "enrolled_to": [14_500, 15_500],
        "visit_days": [14_010, 14_020],
        "visit_types": ["IP", "OTHER"],
        "visit_length": [3, 0],
        "codes": [["ICD10CM:J4530", "HCPCS:99213"], []],
        "cost": [12.5, 0.0],
        "index_day": 14_100,
        "label": 1,
        "label_value": 2.5,
        "label_categories": ["CCSR:RSP009", "CPT:99211-99215"],
        "label_row": 12,
        "visit_outcome": [0, 1],
        "past_days": [14_000, 14_010],
    },
    {
        "patient_id": "cd" * 16,
        "sex": "U",
        "birth_days": -30,
        "institution": "",
        "enrolled_from": [],
        "enrolled_to": [],
        "visit_days": [],
        "visit_types": [],
        "visit_length": [],
        "codes": [],
        "cost": [],
        "index_day": 0,
        "label": 0,
        "label_value": 0.0,
        "label_categories": [],
        "label_row": -1,
        "visit_outcome": [],
        "past_days": [],
    },
]
LABELLED = pl.DataFrame(ROWS, schema=LABELLED_SCHEMA, orient="row")
TIMELINES = LABELLED.select(list(TIMELINE_SCHEMA))


def values(tensor: tf.Tensor | tf.RaggedTensor) -> list[object]:
    def text(value: object) -> object:
        if isinstance(value, list):
            return [text(item) for item in value]
        return value.decode() if isinstance(value, bytes) else value

    as_list = getattr(tensor, "to_list", None) or tensor.numpy().tolist
    return [text(value) for value in as_list()]


@pytest.mark.parametrize("labelled", [False, True])
def test_graph_parser_gives_what_was_written(labelled: bool) -> None:
    frame = LABELLED if labelled else TIMELINES
    parsed = parse(tf.constant(encode(frame)), labelled)
    for name in frame.columns:
        assert values(parsed[name]) == frame[name].to_list(), name
    assert set(parsed) == set(frame.columns) | {"index_day"}
    assert parsed["codes"].row_splits.dtype == tf.int64


def test_graph_parser_fills_in_what_a_request_leaves_out() -> None:
    parsed = parse(tf.constant([b""]))
    scalars = {name: values(parsed[name]) for name in parsed if name in _SCALARS}
    assert scalars == {name: [value] for name, value in _SCALARS.items()}
    for name in set(parsed) - set(_SCALARS):
        assert values(parsed[name]) == [[]], name


_SCALARS = {
    "patient_id": "",
    "sex": "U",
    "birth_days": 0,
    "institution": "",
    "index_day": -1,
}


def test_graph_parser_wants_labels_where_they_are_asked_for() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="label"):
        parse(tf.constant(encode(TIMELINES)), labelled=True)


@pytest.mark.parametrize("labelled", [False, True])
def test_tfxio_gives_the_same_tensors_as_the_graph_parser(labelled: bool) -> None:
    from tfx_bsl.coders import example_coder
    from tfx_bsl.tfxio import tensor_adapter, tf_example_record

    frame, schema = (
        (LABELLED, labelled_schema()) if labelled else (TIMELINES, load_schema())
    )
    records = encode(frame)
    source = tf_example_record.TFExampleBeamRecord(
        physical_format="memory", schema=schema, telemetry_descriptors=["test"]
    )
    decoder = example_coder.ExamplesToRecordBatchDecoder(schema.SerializeToString())
    adapter = tensor_adapter.TensorAdapter(source.TensorAdapterConfig())
    tensors = adapter.ToBatchTensors(decoder.DecodeBatch(records))
    parsed = parse(tf.constant(records), labelled)
    assert set(tensors) == set(frame.columns)
    for name, tensor in tensors.items():
        assert values(tensor) == values(parsed[name]), name
        assert tensor.dtype == parsed[name].dtype


def anomalies(records: list[bytes], schema: schema_pb2.Schema, folder: Path) -> dict:
    import tensorflow_data_validation as tfdv
    from apache_beam.options.pipeline_options import PipelineOptions

    from claimpt_tf.beam_options import LOCAL_RUNNER

    path = folder / "records.gz"
    write_records(records, path)
    statistics = tfdv.generate_statistics_from_tfrecord(
        str(path),
        stats_options=tfdv.StatsOptions(schema=schema),
        pipeline_options=PipelineOptions([f"--runner={LOCAL_RUNNER}"]),
    )
    found = tfdv.validate_statistics(statistics, schema).anomaly_info
    return {name: info.description for name, info in found.items()}


@pytest.mark.slow
def test_tfdv_finds_no_fault_with_records(tmp_path: Path) -> None:
    assert anomalies(encode(TIMELINES), load_schema(), tmp_path) == {}
    assert anomalies(encode(LABELLED), labelled_schema(), tmp_path) == {}
    nobody_was_seen = encode(TIMELINES[1:])
    assert anomalies(nobody_was_seen, load_schema(), tmp_path) == {}


@pytest.mark.slow
def test_tfdv_finds_what_is_wrong(tmp_path: Path) -> None:
    wrong = TIMELINES.with_columns(
        sex=pl.lit("female"),
        visit_length=pl.col("visit_length").list.eval(-1 - pl.element()),
    ).drop("institution")
    found = anomalies(encode(wrong), load_schema(), tmp_path)
    assert set(found) == {"sex", "institution", "visit_length"}
