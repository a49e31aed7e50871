"""What can go wrong between a client, a server and the model's runtime."""

from __future__ import annotations

from claimpt_tf.errors import ArtifactError, ClaimPTError


class ServingError(ClaimPTError):
    """The server cannot start, cannot be reached, or refused a request."""


class InferenceError(ServingError):
    """The runtime or the server rejected one request; others are not affected.

    Attributes:
        code: canonical status name as TensorFlow and gRPC spell it, for example
            `INVALID_ARGUMENT`, `NOT_FOUND` or `UNAVAILABLE`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class LoadError(ArtifactError):
    """TensorFlow's C++ loader refused a SavedModel.

    Attributes:
        code: canonical status name, for example `DATA_LOSS`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
