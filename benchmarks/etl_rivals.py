"""What `benchmarks/etl.py` compares the ingest with: a query, and Beam row by row."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions

from claimpt_tf.beam_options import with_runner

CODES = ("hcpcs_code", *(f"diagnosis_code_{place}" for place in range(1, 7)))

# One visit a member, day and setting, and one row a member, as the records have them.
# No hashing, no merging of stays, no reversals, no checks.
QUERY = """
COPY (
  WITH line AS (
    SELECT person_id,
      coalesce(claim_line_start_date, claim_start_date) AS day,
      CASE WHEN place_of_service_code = '21' OR bill_type_code LIKE '11%' THEN 'IP'
           WHEN place_of_service_code = '23' OR revenue_center_code LIKE '045%'
             THEN 'ED'
           ELSE 'OP' END AS setting,
      paid_amount,
      list_filter([
        'HCPCS:' || hcpcs_code,
        'ICD10CM:' || replace(diagnosis_code_1, '.', ''),
        'ICD10CM:' || replace(diagnosis_code_2, '.', ''),
        'ICD10CM:' || replace(diagnosis_code_3, '.', ''),
        'ICD10CM:' || replace(diagnosis_code_4, '.', ''),
        'ICD10CM:' || replace(diagnosis_code_5, '.', ''),
        'ICD10CM:' || replace(diagnosis_code_6, '.', '')
      ], code -> code IS NOT NULL) AS codes
    FROM read_parquet('{claims}/medical_claim.parquet')
    UNION ALL
    SELECT person_id, dispensing_date, 'RX', paid_amount, ['NDC:' || ndc_code]
    FROM read_parquet('{claims}/pharmacy_claim.parquet')
  ), visit AS (
    SELECT person_id, day, setting, sum(paid_amount) AS cost,
      list_distinct(flatten(list(codes))) AS codes
    FROM line GROUP BY person_id, day, setting
  ), timeline AS (
    SELECT person_id,
      list(day ORDER BY day, setting) AS visit_days,
      list(setting ORDER BY day, setting) AS visit_types,
      list(codes ORDER BY day, setting) AS codes,
      list(cost ORDER BY day, setting) AS cost
    FROM visit GROUP BY person_id
  ), member AS (
    SELECT person_id, max(gender) AS sex, max(birth_date) AS birth_date,
      list(enrollment_start_date ORDER BY enrollment_start_date) AS enrolled_from,
      list(enrollment_end_date ORDER BY enrollment_start_date) AS enrolled_to
    FROM read_parquet('{claims}/eligibility.parquet') GROUP BY person_id
  )
  SELECT * FROM member LEFT JOIN timeline USING (person_id)
) TO '{output}' (FORMAT parquet, COMPRESSION gzip)
"""


def duckdb_visits(claims: Path, output: Path, threads: int) -> None:
    """Groups claim lines into visits and these into members; writes Parquet."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute(f"SET threads = {threads}")
        connection.execute(
            QUERY.format(claims=claims, output=output / "visits.parquet")
        )


def rowwise_visits(claims: Path, output: Path, key: bytes) -> None:
    """The same by Beam as one would write it first: a dict a line, a group a member."""
    with beam.Pipeline(options=PipelineOptions(with_runner([]))) as pipeline:
        tables = [
            pipeline
            | f"Name {table}" >> beam.Create([(str(claims), table)])
            | f"Read {table}" >> beam.FlatMap(_rows)
            | f"Key {table}" >> beam.Map(_keyed, key)
            for table in ("medical_claim", "pharmacy_claim", "eligibility")
        ]
        _ = (
            tables
            | beam.Flatten()
            | beam.GroupByKey()
            | beam.Map(_example)
            | beam.io.WriteToTFRecord(str(output / "records"), file_name_suffix=".gz")
        )


def _rows(element: tuple[str, str]) -> Iterator[dict[str, Any]]:
    folder, table = element
    for batch in pq.ParquetFile(Path(folder) / f"{table}.parquet").iter_batches():
        yield from batch.to_pylist()


def _keyed(row: dict[str, Any], key: bytes) -> tuple[str, dict[str, Any]]:
    digest = hmac.new(key, row["person_id"].encode(), hashlib.sha256)
    return digest.hexdigest()[:32], row


def _example(element: tuple[str, Iterable[dict[str, Any]]]) -> bytes:
    import tensorflow as tf

    member, rows = element
    visits: dict[tuple[Any, str], dict[str, Any]] = {}
    spans, sex = [], "U"
    for row in rows:
        if "enrollment_start_date" in row:
            spans.append((row["enrollment_start_date"], row["enrollment_end_date"]))
            sex = row["gender"] or sex
            continue
        visit = visits.setdefault(_visit(row), {"codes": {}, "cost": 0.0})
        visit["cost"] += row["paid_amount"] or 0.0
        for code in _codes(row):
            visit["codes"][code] = None
    example = tf.train.Example()
    feature = example.features.feature
    feature["patient_id"].bytes_list.value.append(member.encode())
    feature["sex"].bytes_list.value.append(sex.encode())
    for start, end in sorted(spans):
        feature["enrolled_from"].int64_list.value.append(start.toordinal())
        feature["enrolled_to"].int64_list.value.append(end.toordinal())
    for (day, setting), visit in sorted(visits.items()):
        feature["visit_days"].int64_list.value.append(day.toordinal())
        feature["visit_types"].bytes_list.value.append(setting.encode())
        feature["cost"].float_list.value.append(visit["cost"])
        feature["codes__row_lengths"].int64_list.value.append(len(visit["codes"]))
        feature["codes"].bytes_list.value.extend(
            code.encode() for code in visit["codes"]
        )
    return example.SerializeToString()


def _visit(row: dict[str, Any]) -> tuple[Any, str]:
    if "ndc_code" in row:
        return row["dispensing_date"], "RX"
    place, bill = row["place_of_service_code"], row["bill_type_code"] or ""
    if place == "21" or bill.startswith("11"):
        setting = "IP"
    elif place == "23" or (row["revenue_center_code"] or "").startswith("045"):
        setting = "ED"
    else:
        setting = "OP"
    return row["claim_line_start_date"] or row["claim_start_date"], setting


def _codes(row: dict[str, Any]) -> Iterator[str]:
    if "ndc_code" in row:
        yield f"NDC:{row['ndc_code']}"
        return
    for name in CODES:
        if row[name]:
            system = "HCPCS" if name == "hcpcs_code" else "ICD10CM"
            yield f"{system}:{row[name].replace('.', '')}"
