"""Scores whole folders of records to Parquet.

Worker processes hold the C++ runtime with one thread each, take a file at a time, and
run its records in large batches of like length. That is faster than Beam's RunInference
on one machine, where a batch crosses three processes, and as resumable as the files
are many: each has its own part, which appears when it is complete.
"""

from __future__ import annotations

import concurrent.futures
import datetime
import glob
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from claimpt_tf.claims.privacy import hash_members, load_key
from claimpt_tf.errors import ArtifactError, InputError
from claimpt_tf.serving import protos, requests
from claimpt_tf.serving.cpp_session import CppSession
from claimpt_tf.serving.saved_model import (
    DEFAULT_SIGNATURE,
    EXPLAIN,
    SAVED_MODEL_FILE,
    resolve_version,
)
from claimpt_tf.visits import records

MANIFEST_FILE = "score.json"
TABLES_FILE = "tables.json"  # which tables ...
RECORDS_FOLDER = "records"  # ... were read into these records, both in the output
_EPOCH = datetime.date(1970, 1, 1)
_EXPLAINED = 16  # members a batch: each is scored once for every visit and code
_CHUNK = 8192  # records in memory at once, sorted by length within


@dataclass(frozen=True)
class ScoreOptions:
    """What is scored, and how.

    Attributes:
        model: a version folder.
        index_day: last day whose information may be used, days since 1970-01-01; None
            takes each record's own, or its last known day.
        reasons: codes a member that are named as reasons.
        reasons_above: members with a lower risk get none.
        batch_size: records of one run of the model.
        ids_file: a table with raw member ids, to put beside the hashed ones.
        key_file: the key that ingest hashed with.
    """

    model: str
    index_day: int | None = None
    reasons: int = 0
    reasons_above: float = 0.0
    batch_size: int = 128
    ids_file: str | None = None
    key_file: str | None = None


@dataclass(frozen=True)
class Scoring:
    """What was done: members and files scored now, files found done, seconds."""

    members: int
    files: int
    skipped: int
    seconds: float


def score_records(
    data: Sequence[str],
    model_dir: str | Path,
    output: str | Path,
    *,
    index_date: datetime.date | None = None,
    reasons: int = 0,
    reasons_above: float = 0.0,
    batch_size: int = 128,
    ids_file: str | None = None,
    key_file: str | None = None,
    workers: int | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Scoring:
    """Scores every record of TFRecord files.

    Args:
        data: files, patterns, or folders of `claimpt ingest` or CohortGen.
        model_dir: a version folder, or a folder of versions (the highest is taken).
        output: folder of the parts: patient_id, index_date, probability, with
            `reasons` a list of {code, share}, with `ids_file` member_id. Started
            again with the same choices, it goes on where it stopped.
        index_date: last day whose information may be used; None takes each record's
            own, or its last known day.
        reasons: codes a member to name, those that move the risk most.
        reasons_above: only for members whose risk is at least that.
        batch_size: records of one run of the model.
        ids_file: Parquet or CSV with a column `member_id` of raw ids: only who has
            them and the key sees whose risk it is.
        key_file: as load_key's.
        workers: processes; None takes one a core.
        say: called with a line about each file.

    Raises:
        ArtifactError: no records, no such model, or `output` holds scores of other
            choices.
        InputError: `ids_file` has no `member_id`, or the key is missing.
    """
    begun = time.monotonic()
    version = resolve_version(model_dir)
    options = ScoreOptions(
        str(version.resolve()),
        None if index_date is None else (index_date - _EPOCH).days,
        reasons, reasons_above, batch_size, ids_file, key_file,
    )  # fmt: skip
    if ids_file is not None:
        _member_ids(options)  # before an hour is spent
    files = find_records(data)
    folder = Path(output)
    parts = {file: folder / _part_name(file, files) for file in files}
    _check_manifest(folder, options, files)
    todo = [file for file in files if not parts[file].exists()]
    say(f"{len(todo)} of {len(files)} files to score")
    members = 0
    if todo:
        count = min(workers or os.cpu_count() or 1, len(todo))
        with concurrent.futures.ProcessPoolExecutor(
            count, multiprocessing.get_context("spawn"), _start, (options,)
        ) as pool:
            running = {
                pool.submit(_score_file, f, str(parts[f])): f
                # The largest first, so that no core waits at the end.
                for f in sorted(todo, key=lambda f: -os.path.getsize(f))
            }
            for done in concurrent.futures.as_completed(running):
                members += done.result()
                pace = members / (time.monotonic() - begun)
                say(f"{members:,} members, {pace:,.0f} a second")
    return Scoring(members, len(todo), len(files) - len(todo), time.monotonic() - begun)


def records_of_tables(
    source: str, tables: str, output: str | Path, key_file: str | None = None
) -> str:
    """Reads claims tables into the output's own records, once.

    Args:
        source: an input standard of `claimpt ingest`.
        tables: folder of the tables.
        output: as score_records'.
        key_file: as load_key's.

    Returns:
        The folder of records.

    Raises:
        ArtifactError: `output` has records of other tables.
        InputError: the tables cannot be read.
    """
    from claimpt_tf.visits.ingest import ingest  # loads Beam

    inside = sorted(one for one in Path(tables).rglob("*") if one.is_file())
    facts = {
        "source": source,
        "tables": os.path.abspath(tables),
        "files": [[str(f.relative_to(tables)), f.stat().st_size] for f in inside],
    }
    folder, kept = Path(output), Path(output) / RECORDS_FOLDER
    if kept.is_dir():
        noted = folder / TABLES_FILE
        if not noted.exists() or json.loads(noted.read_text()) != facts:
            raise ArtifactError(
                f"{kept}: holds records of other tables, or of {tables} as it was "
                "before; choose another output, or remove it"
            )
        return str(kept)
    _open(folder, {TABLES_FILE})
    _write_json(folder / TABLES_FILE, facts)
    ingest(source, tables, str(kept), key_file=key_file)
    return str(kept)


def _open(folder: Path, ours: set[str]) -> None:
    """Makes the output, if nothing is in it but what is ours."""
    if folder.exists() and {one.name for one in folder.iterdir()} - ours:
        raise ArtifactError(f"{folder}: is not empty; choose another output")
    folder.mkdir(parents=True, exist_ok=True)


def _write_json(path: Path, facts: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(facts, indent=1) + "\n")
    part.rename(path)


def find_records(data: Sequence[str]) -> list[str]:
    """The TFRecord files that folders, patterns and paths name.

    Raises:
        ArtifactError: there is none.
    """
    found: set[str] = set()
    for one in data:
        if os.path.isdir(one):
            found.update(glob.glob(os.path.join(one, "**", "*.gz"), recursive=True))
            found.update(
                glob.glob(os.path.join(one, "**", "*tfrecord*"), recursive=True)
            )
        else:
            found.update(glob.glob(one))
    files = sorted(f for f in found if os.path.isfile(f))
    if not files:
        raise ArtifactError(
            f"{', '.join(data)}: no records here; give the folder that "
            "`claimpt ingest` made, or TFRecord files"
        )
    return files


def _part_name(file: str, files: Sequence[str]) -> str:
    """Of a part: the file's path below what all files share."""
    common = os.path.commonpath([os.path.dirname(os.path.abspath(f)) for f in files])
    inner = os.path.relpath(os.path.abspath(file), common)
    return inner.replace(os.sep, "_").removesuffix(".gz") + ".parquet"


def _check_manifest(folder: Path, options: ScoreOptions, files: Sequence[str]) -> None:
    """Refuses to mix scores of two models, dates or data in one folder."""
    model = Path(options.model) / SAVED_MODEL_FILE
    wanted = {
        **asdict(options),
        "model_bytes": model.stat().st_size,
        "files": [[os.path.abspath(f), os.path.getsize(f)] for f in files],
    }
    manifest = folder / MANIFEST_FILE
    if manifest.exists():
        if json.loads(manifest.read_text()) != wanted:
            raise ArtifactError(
                f"{folder}: holds scores of another model, date or data; choose "
                "another output, or remove it"
            )
        return
    _open(folder, {RECORDS_FOLDER, TABLES_FILE})
    _write_json(manifest, wanted)


def _member_ids(options: ScoreOptions) -> pl.DataFrame:
    """member_id beside patient_id, of the members whose ids are given."""
    path = str(options.ids_file)
    try:
        read = pl.read_parquet if path.endswith(".parquet") else pl.read_csv
        table = read(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"{path}: cannot be read as a table: {type(error).__name__}"
        ) from None
    if "member_id" not in table.columns:
        raise InputError(f"{path}: has no column member_id")
    ids = table["member_id"].cast(pl.String).drop_nulls().unique()
    hashed = hash_members(ids, load_key(options.key_file)).alias("patient_id")
    return pl.DataFrame([hashed, ids])


class _Worker:
    """One process's model and choices."""

    def __init__(self, options: ScoreOptions) -> None:
        self.options = options
        self.session = CppSession(options.model, threads=1)
        if options.reasons and EXPLAIN not in self.session.signatures:
            raise ArtifactError(
                f"{options.model}: has no signature {EXPLAIN!r}; export the model "
                "again, or ask for no reasons"
            )
        self.ids = None if options.ids_file is None else _member_ids(options)
        self.dated = b""
        if options.index_day is not None:
            example = protos.Example()
            day = example.features.feature["index_day"].int64_list
            day.value.append(options.index_day)
            self.dated = example.SerializeToString()

    def table(self, serialized: Sequence[bytes]) -> pl.DataFrame:
        """Scores of records, in their order."""
        probability = self._probability(serialized)
        frame = records.decode(serialized)
        day: pl.Series | None = None
        if self.options.index_day is not None:
            day = pl.Series([self.options.index_day] * len(serialized))
        elif "index_day" in frame.columns:
            day = frame["index_day"]
        columns: dict[str, Any] = {
            "patient_id": frame["patient_id"],
            "index_date": _dates(day, len(serialized)),
            "probability": pl.Series(probability, dtype=pl.Float32),
        }
        if self.options.reasons:
            columns["reasons"] = self._reasons(serialized, probability)
        table = pl.DataFrame(columns)
        if self.ids is not None:
            table = table.join(
                self.ids, on="patient_id", how="left", maintain_order="left"
            )
        return table

    def _probability(self, serialized: Sequence[bytes]) -> np.ndarray:
        """Like lengths together, so that little is padded."""
        size = self.options.batch_size
        order = sorted(range(len(serialized)), key=lambda i: len(serialized[i]))
        found = np.empty(len(serialized), np.float32)
        for start in range(0, len(order), size):
            some = order[start : start + size]
            # Serialised messages merge by concatenation; what comes last counts.
            batch = [serialized[i] + self.dated for i in some]
            outputs = self.session.run(DEFAULT_SIGNATURE, {"examples": batch})
            found[some] = outputs["probability"]
        return found

    def _reasons(
        self, serialized: Sequence[bytes], probability: np.ndarray
    ) -> pl.Series:
        found: list[list[dict[str, Any]] | None] = [None] * len(serialized)
        high = np.flatnonzero(probability >= self.options.reasons_above).tolist()
        asked = sorted(high, key=lambda i: len(serialized[i]))
        for start in range(0, len(asked), _EXPLAINED):
            some = asked[start : start + _EXPLAINED]
            inputs = requests.examples_to_predict_inputs([serialized[i] for i in some])
            if self.options.index_day is not None:
                inputs["index_day"][:] = self.options.index_day
            shares = self.session.run(EXPLAIN, inputs)["code_share"]
            for row, at in enumerate(some):
                found[at] = self._top(inputs["codes"][row], shares[row])
        kind = pl.List(pl.Struct({"code": pl.String(), "share": pl.Float32()}))
        return pl.Series(found, dtype=kind)

    def _top(self, codes: np.ndarray, shares: np.ndarray) -> list[dict[str, Any]]:
        real = (codes != "") & (shares != 0)
        names, place = np.unique(codes[real].astype(str), return_inverse=True)
        total = np.bincount(place, weights=shares[real], minlength=len(names))
        best = np.argsort(-np.abs(total), kind="stable")[: self.options.reasons]
        return [{"code": str(names[i]), "share": float(total[i])} for i in best]


def _dates(day: pl.Series | None, count: int) -> pl.Series:
    if day is None:
        return pl.Series([None] * count, dtype=pl.Date)
    known = pl.Series(day, dtype=pl.Int32)
    return pl.DataFrame({"d": known}).select(
        pl.when(pl.col("d") >= 0).then(pl.col("d")).cast(pl.Date)
    )["d"]


_worker: _Worker | None = None


def _start(options: ScoreOptions) -> None:
    global _worker
    _worker = _Worker(options)


def _score_file(file: str, part: str) -> int:
    assert _worker is not None
    tables = [_worker.table(chunk) for chunk in _chunks(file)]
    table = pl.concat(tables) if tables else _worker.table([])
    beside = f"{part}.part"
    table.write_parquet(beside)
    os.replace(beside, part)
    return table.height


def _chunks(file: str) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    for record in records.read_records([file]):
        chunk.append(record)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
