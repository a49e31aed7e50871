"""Frames as bytes, and cut by member."""

from __future__ import annotations

import hashlib

import polars as pl

from claimpt_tf.visits import pieces
from claimpt_tf.visits.splits import split_of
from tests.visits.tables import events, line

IDS = [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(2000)]


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
    parts = dict(pieces.by_bucket(frame, 7))
    assert sorted(parts) == list(range(7))
    assert pl.concat(parts.values()).sort("row").equals(frame)
    homes = pl.concat(part.select(pl.col("member").unique()) for part in parts.values())
    assert homes.height == len(IDS)
    assert min(part.height for part in parts.values()) > 400


def test_the_bucket_of_a_member_does_not_depend_on_the_others() -> None:
    frame = pl.DataFrame({"member": IDS})
    together = {
        member: bucket
        for bucket, part in pieces.by_bucket(frame, 5)
        for member in part["member"]
    }
    for member in IDS[:20]:
        ((alone, _),) = pieces.by_bucket(pl.DataFrame({"member": [member]}), 5)
        assert alone == together[member]


def test_buckets_hold_members_of_every_split() -> None:
    for _, part in pieces.by_bucket(pl.DataFrame({"member": IDS}), 3):
        assert split_of(part["member"]).n_unique() == 3


def test_nobody() -> None:
    assert list(pieces.by_bucket(pl.DataFrame({"member": []}), 4)) == []
