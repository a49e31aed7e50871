"""The versions of one model: found on disk, loaded, switched, retired."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from claimpt_tf.errors import ArtifactError
from claimpt_tf.serving import warmup
from claimpt_tf.serving.cpp_session import CppSession
from claimpt_tf.serving.errors import InferenceError, LoadError
from claimpt_tf.serving.event_log import log_event
from claimpt_tf.serving.models_config import VersionPolicy
from claimpt_tf.serving.saved_model import model_versions, python_ops

_KEPT_STATUSES = 32  # as many ended versions stay visible
_HIGHEST = VersionPolicy()
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
    """Serves the versions under a folder that a policy asks for and that load.

    A new version is loaded and warmed while the old ones serve; only then do new
    requests go to it, and one that the policy no longer asks for is freed when its
    last request is done. A version that does not load is refused, and tried again
    when its files change. One that is still being copied is left alone until its
    files rest between two polls. Deleting the highest version rolls back to the one
    below.

    Args:
        name: the model's name, for messages.
        base: folder of numbered version folders.
        threads: as CppSession's.
        policy: which versions are served; the highest one by default.
    """

    def __init__(
        self,
        name: str,
        base: str | Path,
        threads: int | None = None,
        policy: VersionPolicy = _HIGHEST,
    ) -> None:
        self.name = name
        self.base = Path(base)
        self.policy = policy
        self._threads = threads
        self._lock = threading.Lock()
        self._polling = threading.Lock()
        self._served: dict[int, _Served] = {}
        self._labels: dict[str, int] = {}
        self._closed = False
        self._statuses: dict[int, VersionStatus] = {}
        self._refused: dict[int, _Fingerprint | None] = {}
        self._seen: dict[int, _Fingerprint | None] = {}

    @property
    def current(self) -> int | None:
        """Number of the version that serves by default, None before the first."""
        with self._lock:
            return max(self._served, default=None)

    @property
    def labels(self) -> dict[str, int]:
        """The versions' labels."""
        with self._lock:
            return dict(self._labels)

    def set_labels(self, labels: Mapping[str, int]) -> None:
        """Names versions; a label stands for one version that is served.

        Raises:
            InferenceError: FAILED_PRECONDITION; a label names a version that is not
                served. The labels stay as they were.
        """
        with self._lock:
            for label, number in sorted(labels.items()):
                if number not in self._served:
                    raise InferenceError(
                        "FAILED_PRECONDITION",
                        f"Request to assign label {label} to version {number} of "
                        f"model {self.name}, which is not currently available for "
                        "inference",
                    )
            self._labels = dict(labels)

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

    def resolve(self, version: int | None = None, label: str | None = None) -> int:
        """The number that a request means.

        Raises:
            InferenceError: as `lease`.
        """
        with self._lock:
            return self._number(version, label)

    def _number(self, version: int | None, label: str | None) -> int:
        if label is not None:
            if label not in self._labels:
                raise InferenceError(
                    "INVALID_ARGUMENT", f"Unrecognized servable version label: {label}"
                )
            version = self._labels[label]
        if not self._served:
            raise InferenceError("UNAVAILABLE", "no version of the model is loaded")
        if version is None:
            return max(self._served)
        if version not in self._served:
            raise InferenceError(
                "NOT_FOUND",
                f"Servable not found for request: Specific({self.name}, {version})",
            )
        return version

    @contextlib.contextmanager
    def lease(
        self, version: int | None = None, label: str | None = None
    ) -> Iterator[tuple[int, CppSession]]:
        """Holds a version for one request: its number and its session.

        Args:
            version: a particular one, or None for the highest that serves.
            label: a label instead.

        Raises:
            InferenceError: UNAVAILABLE while none serves, NOT_FOUND for a version
                that does not, INVALID_ARGUMENT for an unknown label.
        """
        with self._lock:
            served = self._served[self._number(version, label)]
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
        with self._lock:
            back = served.number in self._served  # after a rollback
        if not back:
            self._set(served.number, "END")
        log_event("version_unloaded", model=self.name, version=served.number)

    def _retire(self, number: int) -> None:
        with self._lock:
            served = self._served.pop(number)
            served.retired = True
            idle = served.users == 0
            self._labels = {k: v for k, v in self._labels.items() if v != number}
        if idle:
            self._free(served)
        else:
            self._set(number, "UNLOADING")

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
                "version_refused",
                logging.ERROR,
                model=self.name,
                version=number,
                reason=str(error),
            )
            return False
        self._set(number, "AVAILABLE")
        with self._lock:
            self._served[number] = _Served(number, session)
        log_event(
            "version_loaded",
            model=self.name,
            version=number,
            seconds=round(time.perf_counter() - started, 3),
            tensorflow=session.runtime_version,
        )
        return True

    def _ready(self, number: int, path: Path, anything: bool) -> bool:
        """Whether a version serves, loading it where that is due.

        Where nothing serves yet, nobody waits for files to rest.
        """
        with self._lock:
            if number in self._served:
                return True
        mark = _fingerprint(path)
        if mark is None or self._refused.get(number, ()) == mark:
            return False
        if anything and self._seen.get(number) != mark:
            self._seen[number] = mark
            return False
        return self._try(number, path, mark)

    def poll(self, labels: Mapping[str, int] | None = None) -> bool:
        """Looks at the folder once; True when another version serves afterwards.

        Args:
            labels: what labels should name. They move between the loading of new
                versions and the unloading of old ones, so that no request by label
                comes in between.
        """
        with self._polling:
            if self._closed:
                return False
            try:
                found = model_versions(self.base)
            except (ArtifactError, OSError):
                return False  # the folder is gone: what is loaded goes on serving
            with self._lock:
                before = set(self._served)
            policy = self.policy
            wanted: set[int] = set()
            for number in sorted(found, reverse=True):
                if policy.latest and len(wanted) >= policy.latest:
                    break
                if policy.specific and number not in policy.specific:
                    continue
                if self._ready(number, found[number], bool(before)):
                    wanted.add(number)
            with self._lock:
                named = {**self._labels, **(labels or {})}
                self._labels = {k: n for k, n in named.items() if n in self._served}
            if wanted:
                for number in sorted(before - wanted):
                    self._retire(number)
            with self._lock:
                return set(self._served) != before

    def close(self) -> None:
        """Retires every version; the last request still gets its answer."""
        with self._polling:
            self._closed = True
            with self._lock:
                numbers = sorted(self._served)
            for number in numbers:
                self._retire(number)
