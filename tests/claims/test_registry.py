"""Readers by name."""

from __future__ import annotations

import pickle

import pytest

from claimpt_tf.claims.readers.registry import reader_for, reader_names
from claimpt_tf.errors import InputError


def test_every_reader_is_found_by_its_name() -> None:
    assert {"synpuf", "tuva"} <= set(reader_names())
    for name in reader_names():
        assert reader_for(name).name == name


def test_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'synpuf'.*Known are: .*tuva"):
        reader_for("SynPUF2")
    with pytest.raises(InputError, match="'x' is no source. Known are"):
        reader_for("x")


def test_readers_travel_to_workers() -> None:
    for name in reader_names():
        assert pickle.loads(pickle.dumps(reader_for(name))).name == name
