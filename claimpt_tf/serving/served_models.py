"""All models of a server, by name."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from claimpt_tf.serving.cpp_session import CppSession
from claimpt_tf.serving.errors import InferenceError
from claimpt_tf.serving.event_log import log_event
from claimpt_tf.serving.models_config import ModelConfig
from claimpt_tf.serving.versions import ModelVersions


@dataclass(frozen=True)
class ModelRef:
    """The model that a request names; no version and no label: the highest."""

    name: str
    version: int | None = None
    label: str | None = None

    def __str__(self) -> str:
        if self.version is None:
            return f"Latest({self.name[:80]})"
        return f"Specific({self.name[:80]}, {self.version})"


class ServedModels:
    """Models that come and go by configuration, without a failed request.

    Args:
        configs: the models.
        threads: as CppSession's, for each version of each model.
    """

    def __init__(
        self, configs: Sequence[ModelConfig], threads: int | None = None
    ) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._models: dict[str, ModelVersions] = {}
        self._configs: dict[str, ModelConfig] = {}
        self._polling = threading.Lock()
        for config in configs:
            self._models[config.name] = self._new(config)
            self._configs[config.name] = config

    def _new(self, config: ModelConfig) -> ModelVersions:
        return ModelVersions(
            config.name, config.base_path, self._threads, config.policy
        )

    def names(self) -> list[str]:
        """The models' names."""
        with self._lock:
            return sorted(self._models)

    def model(self, ref: ModelRef) -> ModelVersions:
        """The versions of a model.

        Raises:
            InferenceError: NOT_FOUND; there is no such model.
        """
        with self._lock:
            found = self._models.get(ref.name)
        if found is None:
            raise InferenceError("NOT_FOUND", f"Servable not found for request: {ref}")
        return found

    @contextlib.contextmanager
    def lease(self, ref: ModelRef) -> Iterator[tuple[int, CppSession]]:
        """Holds a version of a model for one request: its number and its session.

        Raises:
            InferenceError: as `model`, and as ModelVersions.lease.
        """
        with self.model(ref).lease(ref.version, ref.label) as held:
            yield held

    def poll(self) -> bool:
        """Looks at every model's folder; True when other versions serve afterwards."""
        with self._polling:
            return self._poll()

    def _poll(self) -> bool:
        with self._lock:
            models = dict(self._models)
        changed = False
        for name, versions in models.items():
            wanted = self._configs[name].labels
            changed = versions.poll(wanted) or changed
            served = {v: n for v, n in wanted.items() if _serves(versions, n)}
            if served != versions.labels:
                # A label waits for its version, as at a start.
                with contextlib.suppress(InferenceError):
                    versions.set_labels(served)
        return changed

    def reload(self, configs: Sequence[ModelConfig]) -> None:
        """Serves these models instead: new ones are loaded before old ones go.

        A model whose folder changed is loaded afresh beside the old one.

        Raises:
            InferenceError: FAILED_PRECONDITION; a label names a version that is not
                served. The versions are as configured, its labels as before.
        """
        with self._polling:
            kept = dict(self._models)
            after: dict[str, ModelVersions] = {}
            for config in configs:
                before = self._configs.get(config.name)
                if before is not None and before.base_path == config.base_path:
                    after[config.name] = kept[config.name]
                    after[config.name].policy = config.policy
                else:
                    after[config.name] = self._new(config)
                for _ in range(2):  # files must rest between two looks
                    after[config.name].poll(config.labels)
            with self._lock:
                self._models = after
            gone = [one for name, one in kept.items() if after.get(name) is not one]
            problem: InferenceError | None = None
            settled: dict[str, ModelConfig] = {}
            for config in configs:
                labels = config.labels
                try:
                    after[config.name].set_labels(labels)
                except InferenceError as error:
                    problem, labels = error, after[config.name].labels
                settled[config.name] = ModelConfig(
                    config.name, config.base_path, config.policy, dict(labels)
                )
            self._configs = settled
        for versions in gone:
            versions.close()
        log_event("config_reloaded", models=len(configs), ok=problem is None)
        if problem is not None:
            raise problem

    def close(self) -> None:
        """Retires everything; the last requests still get their answers."""
        with self._polling, self._lock:
            models = list(self._models.values())
        for versions in models:
            versions.close()


def _serves(versions: ModelVersions, number: int) -> bool:
    try:
        return versions.resolve(number) == number
    except InferenceError:
        return False
