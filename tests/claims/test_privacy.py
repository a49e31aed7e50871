"""Member keys: where they come from, how they are kept, and the hash itself."""

from __future__ import annotations

import hashlib
import hmac
import multiprocessing
import stat
from pathlib import Path

import polars as pl
import pytest

from claimpt_tf.claims.events import EVENT_SCHEMA, MEMBER_SCHEMA
from claimpt_tf.claims.privacy import (
    MAX_SHIFT_DAYS,
    check_key_place,
    day_shifts,
    hash_members,
    load_key,
    shift_dates,
    stored_key_path,
)
from claimpt_tf.errors import InputError

KEY = "sixteen bytes or more of key"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CLAIMPT_KEY", raising=False)
    monkeypatch.delenv("CLAIMPT_KEY_FILE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_hash_is_hmac_sha256_cut_to_32_hex_digits() -> None:
    ids = pl.Series("person", ["A", "B", None, "A"])
    expected = [
        hmac.new(KEY.encode(), member.encode(), hashlib.sha256).hexdigest()[:32]
        for member in ("A", "B")
    ]
    hashed = hash_members(ids, KEY.encode())
    assert hashed.to_list() == [expected[0], expected[1], None, expected[0]]
    assert hashed.name == "person"


@pytest.mark.parametrize("ids", [[], [None, None]])
def test_nothing_to_hash(ids: list[str | None]) -> None:
    series = pl.Series(ids, dtype=pl.String)
    assert hash_members(series, KEY.encode()).to_list() == ids


def test_key_from_file_argument_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAIMPT_KEY", "another key, also long enough")
    path = tmp_path / "key"
    path.write_text(f"\n{KEY}\n")
    assert load_key(path) == KEY.encode()
    assert load_key(str(path)) == KEY.encode()


def test_key_from_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    path.write_text(KEY)
    monkeypatch.setenv("CLAIMPT_KEY_FILE", str(path))
    assert load_key() == KEY.encode()
    monkeypatch.setenv("CLAIMPT_KEY", "the text itself goes before")
    assert load_key() == b"the text itself goes before"
    assert not stored_key_path().exists()


def test_generated_key_is_kept_and_private() -> None:
    first = load_key()
    path = stored_key_path()
    assert len(first) == 64
    assert load_key() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["member.key"]


def test_processes_that_start_at_once_agree_on_the_generated_key() -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        keys = pool.map(_load, range(8))
    assert len(set(keys)) == 1


def _load(_: int) -> bytes:
    return load_key()


@pytest.mark.parametrize("text", ["", "fifteen bytes..", "  short  \n"])
def test_short_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    with pytest.raises(InputError, match="at least 16 are needed") as error:
        load_key(path)
    assert "fifteen" not in str(error.value)


def test_short_key_in_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAIMPT_KEY", "short")
    with pytest.raises(InputError, match="CLAIMPT_KEY has 5 bytes"):
        load_key()


def test_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere.*cannot be read"):
        load_key(tmp_path / "nowhere")


def test_no_place_for_a_generated_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError, match="Set CLAIMPT_KEY or CLAIMPT_KEY_FILE"):
        load_key()


def test_a_key_in_the_output_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    inside, outside = run / "keys" / "member.key", tmp_path / "member.key"
    with pytest.raises(InputError, match="lies in the output folder"):
        check_key_place(run, inside)
    check_key_place(run, outside)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(run))  # where one would be generated
    with pytest.raises(InputError, match="keep the key elsewhere"):
        check_key_place(run)
    monkeypatch.setenv("CLAIMPT_KEY_FILE", str(outside))
    check_key_place(run)
    monkeypatch.setenv("CLAIMPT_KEY_FILE", str(inside))
    with pytest.raises(InputError, match="lies in the output folder"):
        check_key_place(run)
    monkeypatch.setenv("CLAIMPT_KEY", KEY)  # no file is read
    check_key_place(run)


def test_shifts_follow_key_and_member_alone() -> None:
    members = pl.Series([f"{n:032x}" for n in range(4000)])
    shifts = day_shifts(members, KEY.encode())
    assert shifts.is_between(-MAX_SHIFT_DAYS, -1).all()
    assert shifts.n_unique() == MAX_SHIFT_DAYS
    assert abs(shifts.mean() + (MAX_SHIFT_DAYS + 1) / 2) < 10
    assert day_shifts(members.reverse(), KEY.encode()).reverse().equals(shifts)
    assert not day_shifts(members, b"another key of 16 bytes").equals(shifts)


def test_days_that_are_not_known_stay_unknown() -> None:
    nobody = pl.DataFrame(
        [{"member": "a" * 32, "enrolled_from": 100}], schema=MEMBER_SCHEMA
    )
    shift = day_shifts(nobody["member"], KEY.encode()).item()
    moved = shift_dates(nobody, KEY.encode())
    assert moved.schema == MEMBER_SCHEMA
    assert moved.select("birth_day", "enrolled_from", "enrolled_to").row(0) == (
        None, 100 + shift, None,
    )  # fmt: skip
    empty = EVENT_SCHEMA.to_frame()
    assert shift_dates(empty, KEY.encode()).equals(empty)
