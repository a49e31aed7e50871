"""Member ids leave ingest only as keyed hashes; this is where the key comes from.

The key is looked for, in this order: the path given by the caller (`--key-file`),
the environment variable `CLAIMPT_KEY` (the key itself, as text), the environment
variable `CLAIMPT_KEY_FILE` (a path), and at last `claimpt/member.key` in the user's
configuration folder, which is made on first use, readable by its owner alone.
The key never goes into a run folder: who holds both can test guesses of an id.

The same key can move each member's dates by a number of days of the member's own.
"""

from __future__ import annotations

import hmac
import os
import secrets
from functools import lru_cache
from pathlib import Path

import polars as pl

from claimpt_tf.errors import InputError

MIN_KEY_BYTES = 16
HASH_CHARS = 32
MAX_SHIFT_DAYS = 365

_KEY_VARIABLE = "CLAIMPT_KEY"
_KEY_FILE_VARIABLE = "CLAIMPT_KEY_FILE"

_DAY_COLUMNS = ("day", "end_day", "birth_day", "enrolled_from", "enrolled_to")


def stored_key_path() -> Path:
    """Where a generated key lives: `$XDG_CONFIG_HOME/claimpt/member.key`."""
    config_home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(config_home) / "claimpt" / "member.key"


def load_key(key_file: str | os.PathLike[str] | None = None) -> bytes:
    """The key that member ids are hashed with.

    Args:
      key_file: A file whose whole text, surrounding white space apart, is the key.

    Returns:
      At least 16 bytes.

    Raises:
      InputError: The file cannot be read, or the key is shorter than 16 bytes.
    """
    if key_file is not None:
        return _read_key(Path(key_file), "the key file given")
    if text := os.environ.get(_KEY_VARIABLE):
        return _long_enough(text.strip().encode(), f"environment {_KEY_VARIABLE}")
    if named := os.environ.get(_KEY_FILE_VARIABLE):
        return _read_key(Path(named), f"environment {_KEY_FILE_VARIABLE}")
    stored = stored_key_path()
    if not stored.exists():
        _store_new_key(stored)
    return _read_key(stored, "the stored member key")


def check_key_place(
    folder: str | os.PathLike[str], key_file: str | os.PathLike[str] | None = None
) -> None:
    """Refuses a key that lies where a run writes: it would be handed on with the run.

    Args:
      folder: The run's or the records' folder.
      key_file: As given to `load_key`.

    Raises:
      InputError: The file that `load_key` would read lies in `folder`.
    """
    if key_file is None and os.environ.get(_KEY_VARIABLE):
        return
    path = Path(key_file or os.environ.get(_KEY_FILE_VARIABLE) or stored_key_path())
    if path.resolve().is_relative_to(Path(folder).resolve()):
        raise InputError(
            f"{path}: the member key lies in the output folder {folder}. Who is handed "
            "that folder could test guesses of member ids; keep the key elsewhere."
        )


def hash_members(ids: pl.Series, key: bytes) -> pl.Series:
    """HMAC-SHA-256 of each id as its first 32 hexadecimal characters.

    Args:
      ids: String, raw member ids; nulls stay null. Each distinct id is hashed once.
      key: From `load_key`.

    Returns:
      String, same length and name as `ids`.

    Example:
      >>> ids = pl.Series("member", ["A1", None, "A1"])
      >>> hash_members(ids, b"an example key, no more").str.slice(0, 8).to_list()
      ['58d6824a', None, '58d6824a']
    """
    distinct = ids.unique().drop_nulls()
    digests = [_digest(member, key) for member in distinct.to_list()]
    return ids.replace_strict(
        distinct,
        pl.Series(digests, dtype=pl.String),
        default=None,
        return_dtype=pl.String,
    )


@lru_cache(maxsize=1 << 17)  # a member comes again in the next batch of rows
def _digest(member: str, key: bytes) -> str:
    return hmac.digest(key, member.encode(), "sha256").hex()[:HASH_CHARS]


def day_shifts(members: pl.Series, key: bytes) -> pl.Series:
    """By how many days each member's dates are moved: -365 to -1.

    Always to the past, so that no date comes to lie in the future. It follows from the
    key and the member alone: every run, table and month of claims moves alike.

    Args:
      members: String, keyed hashes as `hash_members` gives them, none null.
      key: From `load_key`.

    Returns:
      Int32, same length as `members`.

    Example:
      >>> ids = pl.Series(["58d6824a", "c0ffee00", "58d6824a"])
      >>> day_shifts(ids, b"an example key, no more").to_list()
      [-115, -233, -115]
    """
    distinct = members.unique()
    shifts = [
        -1 - int.from_bytes(digest[:8], "big") % MAX_SHIFT_DAYS
        for digest in (
            hmac.digest(key, f"date shift of {member}".encode(), "sha256")
            for member in distinct.to_list()
        )
    ]
    return members.replace_strict(
        distinct, pl.Series(shifts, dtype=pl.Int32), return_dtype=pl.Int32
    ).cast(pl.Int32)  # of no members at all, Polars makes text


def shift_dates(frame: pl.DataFrame, key: bytes) -> pl.DataFrame:
    """Moves every day of a frame of events or members by its member's own shift.

    Intervals within a member stay: ages, lengths of stay, days between visits and
    between visits and enrolment.

    Args:
      frame: EVENT_SCHEMA or MEMBER_SCHEMA.
      key: From `load_key`.

    Returns:
      The frame with its day columns (Int32) shifted; nulls stay null.
    """
    shift = day_shifts(frame["member"], key)
    return frame.with_columns(
        frame[name] + shift for name in _DAY_COLUMNS if name in frame.columns
    )


def _read_key(path: Path, origin: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: {origin} cannot be read ({error.strerror}). Give a readable "
            f"file, or unset {_KEY_FILE_VARIABLE} to use {stored_key_path()}."
        ) from error
    return _long_enough(content.strip(), f"{origin} ({path})")


def _long_enough(key: bytes, origin: str) -> bytes:
    if len(key) < MIN_KEY_BYTES:
        raise InputError(
            f"The member key from {origin} has {len(key)} bytes; at least "
            f"{MIN_KEY_BYTES} are needed. `openssl rand -hex 32` makes a good one."
        )
    return key


def _store_new_key(path: Path) -> None:
    """Write a new key so that two processes starting at once end with the same one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32) + "\n")
            os.link(draft, path)
        except FileExistsError:
            pass  # the other process was first: its key counts
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: a new member key cannot be stored there ({error.strerror}). "
            f"Set {_KEY_VARIABLE} or {_KEY_FILE_VARIABLE} instead."
        ) from error
