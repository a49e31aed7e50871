"""Member keys: where they come from, how they are kept, and the hash itself."""

from __future__ import annotations

import hashlib
import hmac
import multiprocessing
import stat
from pathlib import Path

import polars as pl
import pytest

from claimpt_tf.claims.privacy import hash_members, load_key, stored_key_path
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
