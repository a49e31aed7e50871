"""What clients of both protocols have in common: members in, typed answers out."""

from __future__ import annotations

import abc
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from claimpt_tf.serving.errors import ServingError
from claimpt_tf.serving.explanations import Explanation, explanations
from claimpt_tf.serving.requests import to_predict_inputs

LONGEST_WAIT = 5.0  # seconds between two attempts
MESSAGE_LIMIT = 500
Members = Sequence[Mapping[str, Any]]


class ModelClient(abc.ABC):
    """Asks a served model about members, some at a time.

    Args:
        timeout: seconds to wait for one answer.
        retries: further attempts after the first.
        backoff: seconds before the second attempt; doubles each time.
        batch_size: members sent in one request.
    """

    def __init__(
        self, timeout: float, retries: int, backoff: float, batch_size: int
    ) -> None:
        if batch_size < 1:
            raise ServingError("batch_size must be 1 or more")
        self._timeout, self._retries, self._backoff = timeout, retries, backoff
        self._batch_size = batch_size

    def _pause(self, attempt: int, asked: float = 0.0) -> None:
        """Waits before the next attempt, if there is one.

        Args:
            attempt: the one that failed, from 0.
            asked: seconds that the server asks for.
        """
        if attempt < self._retries:
            time.sleep(min(max(asked, self._backoff * 2**attempt), LONGEST_WAIT))

    @abc.abstractmethod
    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Outputs of a signature that takes named arrays."""

    @abc.abstractmethod
    def close(self) -> None:
        """Closes the connections that are kept open."""

    def predict(self, members: Members) -> list[float]:
        """One risk a member, in their order.

        Args:
            members: as claimpt_tf.serving.requests describes them.

        Raises:
            InputError: a member is not as described; nothing is sent.
            InferenceError: the server refused the request; `code` says how.
            ServingError: no answer, even after trying again.
        """
        answers = self._of_members("predict", members)
        return [float(v) for _, one in answers for v in one["probability"]]

    def explain(self, members: Members) -> list[Explanation]:
        """Each member's risk, and the visits and codes that make it.

        Raises:
            InputError, InferenceError, ServingError: as `predict`.
        """
        answers = self._of_members("explain", members)
        return [e for batch, one in answers for e in explanations(batch, one)]

    def embed(self, members: Members) -> np.ndarray:
        """Each member's state, float32 [members, width].

        Raises:
            InputError, InferenceError, ServingError: as `predict`.
        """
        states = [one["state"] for _, one in self._of_members("embed", members)]
        return np.concatenate(states).astype(np.float32) if states else np.empty((0, 0))

    def _of_members(
        self, signature: str, members: Members
    ) -> list[tuple[Members, dict[str, np.ndarray]]]:
        # All are checked before the first is sent.
        batches = [
            members[start : start + self._batch_size]
            for start in range(0, len(members), self._batch_size)
        ]
        inputs = [to_predict_inputs(batch) for batch in batches]
        found = []
        for batch, one in zip(batches, inputs, strict=True):
            outputs = self.run(signature, one)
            if any(len(value) != len(batch) for value in outputs.values()):
                raise ServingError("the server's answer has no row for each member")
            found.append((batch, outputs))
        return found

    def __enter__(self) -> ModelClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
