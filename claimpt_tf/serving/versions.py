"""The versions of one model: found on disk, loaded, switched, retired."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from claimpt_tf.errors import ArtifactError
from claimpt_tf.serving import warmup
from claimpt_tf.serving.cpp_session import CppSession
from claimpt_tf.serving.errors import InferenceError, LoadError
from claimpt_tf.serving.event_log import log_event
from claimpt_tf.serving.saved_model import model_versions, python_ops

_KEPT_STATUSES = 32  # as many ended versions stay visible
_Fingerprint = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class VersionStatus:
    """Where one version stands, in TensorFlow Serving's words.

    `state` is START, LOADING, AVAILABLE, UNLOADING or END.
    """

    version: int
    state: str
    error_code: str = "OK"
    error_message: str = ""


class _Served:
    """A loaded version and the number of requests that still use it."""

    def __init__(self, number: int, session: CppSession) -> None:
        self.number = number
        self.session = session
        self.users = 0
        self.retired = False


def _fingerprint(path: Path) -> _Fingerprint | None:
    """Names, sizes and times of all files; None while they vanish underneath."""
    try:
        stats = ((file, file.stat()) for file in sorted(path.rglob("*")))
        return tuple(
            (str(file.relative_to(path)), stat.st_size, stat.st_mtime_ns)
            for file, stat in stats
            if file.is_file()
        )
    except OSError:
        return None


class ModelVersions:
    """Serves the highest version under a folder that loads.

    A new version is loaded and warmed while the old one serves; only then do new
    requests go to it, and the old one is freed when its last request is done. A
    version that does not load is refused, and tried again when its files change.
    One that is still being copied is left alone until its files rest between two
    polls. Deleting the highest version rolls back to the one below.

    Args:
        name: the model's name, for messages.
        base: folder of numbered version folders.
        threads: as CppSession's.
    """

    def __init__(self, name: str, base: str | Path, threads: int | None = None) -> None:
        self.name = name
        self.base = Path(base)
        self._threads = threads
        self._lock = threading.Lock()
        self._polling = threading.Lock()
        self._current: _Served | None = None
        self._closed = False
        self._statuses: dict[int, VersionStatus] = {}
        self._refused: dict[int, _Fingerprint | None] = {}
        self._seen: dict[int, _Fingerprint | None] = {}

    @property
    def current(self) -> int | None:
        """Number of the version that serves, None before the first."""
        with self._lock:
            return self._current.number if self._current else None

    def statuses(self) -> list[VersionStatus]:
        """All versions met so far, highest first."""
        with self._lock:
            return sorted(self._statuses.values(), key=lambda s: -s.version)

    def _set(self, number: int, state: str, code: str = "OK", text: str = "") -> None:
        with self._lock:
            self._statuses[number] = VersionStatus(number, state, code, text)
            ended = [n for n, s in self._statuses.items() if s.state == "END"]
            for old in sorted(ended)[:-_KEPT_STATUSES]:
                del self._statuses[old]

    @contextlib.contextmanager
    def lease(self, version: int | None = None) -> Iterator[tuple[int, CppSession]]:
        """Holds a version for one request: its number and its session.

        Args:
            version: a particular one, or None for the current one.

        Raises:
            InferenceError: UNAVAILABLE while none serves, NOT_FOUND for a version
                that does not.
        """
        with self._lock:
            served = self._current
            if served is None:
                raise InferenceError("UNAVAILABLE", "no version of the model is loaded")
            if version is not None and version != served.number:
                raise InferenceError(
                    "NOT_FOUND",
                    f"Servable not found for request: Specific({self.name}, {version})",
                )
            served.users += 1
        try:
            yield served.number, served.session
        finally:
            with self._lock:
                served.users -= 1
                last = served.retired and served.users == 0
            if last:
                self._free(served)

    def _free(self, served: _Served) -> None:
        served.session.close()
        if served.number != self.current:  # it may be back, after a rollback
            self._set(served.number, "END")
        log_event("version_unloaded", version=served.number)

    def _switch(self, served: _Served | None) -> None:
        with self._lock:
            old, self._current = self._current, served
            idle = old is not None and old.users == 0
            if old is not None:
                old.retired = True
        if old is None:
            return
        if idle:
            self._free(old)
        else:
            self._set(old.number, "UNLOADING")

    def _load(self, number: int, path: Path) -> CppSession:
        self._set(number, "LOADING")
        if kinds := python_ops(path):
            # Where this process has imported TensorFlow they would even run.
            raise LoadError(
                "UNIMPLEMENTED",
                f"{path}: holds operations that need Python: {', '.join(kinds)}",
            )
        session = CppSession(path, threads=self._threads)
        try:
            warmup.replay(session, path)
        except BaseException:
            session.close()
            raise
        return session

    def _try(self, number: int, path: Path, mark: _Fingerprint | None) -> bool:
        started = time.perf_counter()
        try:
            session = self._load(number, path)
        except (ArtifactError, InferenceError) as error:
            self._refused[number] = mark
            code = getattr(error, "code", "FAILED_PRECONDITION")
            self._set(number, "END", code, str(error))
            log_event(
                "version_refused", logging.ERROR, version=number, reason=str(error)
            )
            return False
        self._set(number, "AVAILABLE")
        self._switch(_Served(number, session))
        log_event(
            "version_loaded",
            version=number,
            seconds=round(time.perf_counter() - started, 3),
            tensorflow=session.runtime_version,
        )
        return True

    def poll(self) -> bool:
        """Looks at the folder once; True when another version serves afterwards."""
        with self._polling:
            if self._closed:
                return False
            try:
                found = model_versions(self.base)
            except (ArtifactError, OSError):
                return False  # the folder is gone: what is loaded goes on serving
            current = self.current
            for number in sorted(found, reverse=True):
                if number == current:
                    return False
                mark = _fingerprint(found[number])
                if mark is None or self._refused.get(number, ()) == mark:
                    continue
                if current is not None and self._seen.get(number) != mark:
                    self._seen[number] = mark
                    continue
                if self._try(number, found[number], mark):
                    return True
            return False

    def close(self) -> None:
        """Retires the current version; its last request still gets its answer."""
        with self._polling:
            self._closed = True
            self._switch(None)
