"""Frames as bytes, and cut by member."""

from __future__ import annotations

import hashlib

import polars as pl
import pytest

from claimpt_tf.visits import pieces
from claimpt_tf.visits.assemble import (
    EVENTS_TABLE,
    MEMBERS_TABLE,
    assemble,
    assemble_lines,
)
from claimpt_tf.visits.claim_lines import ClaimLines
from claimpt_tf.visits.splits import split_of
from claimpt_tf.visits.summary import merge_counts
from tests.visits import drawn
from tests.visits.tables import events, line, members

IDS = [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(2000)]


def cut(frame: pl.DataFrame, buckets: int) -> dict[int, pl.DataFrame]:
    return {
        bucket: pieces.from_bytes(data)
        for bucket, data in pieces.by_bucket(frame, buckets)
    }


def test_events_come_back_as_they_were() -> None:
    frame = events(
        line("1", 1, "OP", 10, "ICD10CM:J069", paid=4), line("2", 1, "RX", 3)
    )
    assert pieces.from_bytes(pieces.to_bytes(frame)).equals(frame)
    empty = frame.clear()
    assert pieces.from_bytes(pieces.to_bytes(empty)).equals(empty)
    assert pieces.from_bytes(pieces.to_bytes(frame[1:])).equals(frame[1:])


def test_repeated_strings_cost_little() -> None:
    frame = pl.DataFrame({"member": IDS * 50})
    assert len(pieces.to_bytes(frame)) < 4 * frame.height


def test_members_are_never_cut_apart() -> None:
    frame = pl.DataFrame({"member": IDS * 2, "row": range(len(IDS) * 2)})
    parts = cut(frame, 7)
    assert sorted(parts) == list(range(7))
    assert pl.concat(parts.values()).sort("row").equals(frame)
    homes = pl.concat(part.select(pl.col("member").unique()) for part in parts.values())
    assert homes.height == len(IDS)
    assert min(part.height for part in parts.values()) > 400


def test_the_bucket_of_a_member_does_not_depend_on_the_others() -> None:
    frame = pl.DataFrame({"member": IDS})
    together = {
        member: bucket
        for bucket, part in cut(frame, 5).items()
        for member in part["member"]
    }
    for member in IDS[:20]:
        (alone,) = cut(pl.DataFrame({"member": [member]}), 5)
        assert alone == together[member]


def test_buckets_hold_members_of_every_split() -> None:
    for part in cut(pl.DataFrame({"member": IDS}), 3).values():
        assert split_of(part["member"]).n_unique() == 3


def test_nobody() -> None:
    nobody = pl.DataFrame({"member": []}, schema={"member": pl.String})
    assert cut(nobody, 4) == {}


@pytest.mark.parametrize("buckets", [1, 2, 5])
def test_lines_travel_with_their_codes(buckets: int) -> None:
    table = events(*drawn.lines(seed=3))
    people = members(*drawn.PEOPLE).with_columns(table=pl.lit(MEMBERS_TABLE))
    straight = assemble(table, people)
    parts: dict[int, list[tuple[str, bytes]]] = {}
    for rows in (table[: table.height // 2], table[table.height // 2 :]):
        for bucket, data in pieces.lines_by_bucket(ClaimLines.of(rows), buckets):
            parts.setdefault(bucket, []).append((EVENTS_TABLE, data))
    homes = cut(people, buckets)
    made = [
        assemble_lines(pieces.joined_lines(parts.get(bucket, [])), homes[bucket])
        for bucket in homes
    ]
    timelines = pl.concat(one.timelines for one in made).sort("patient_id")
    assert timelines.equals(straight.timelines)
    assert merge_counts(one.counts for one in made) == merge_counts([straight.counts])


def test_a_piece_has_only_its_own_words() -> None:
    lines = [line("1", 1, "OP", 10, "CVX:08", member=IDS[0])] + [
        line("2", n, "OP", n, f"NDC:{n:011d}", member=IDS[1]) for n in range(2000)
    ]
    parts = dict(pieces.lines_by_bucket(ClaimLines.of(events(*lines)), 2))
    sizes = sorted(map(len, parts.values()))
    assert len(sizes) == 2
    assert sizes[0] < sizes[1] / 3
