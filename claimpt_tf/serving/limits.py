"""What a server puts up with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Sizes, times and numbers of requests.

    Attributes:
        body_bytes: largest request; a larger one is answered with 413, or
            RESOURCE_EXHAUSTED over gRPC.
        body_seconds: time a client has to send its body; 408 after it.
        request_seconds: time that a request without a deadline of its own may take;
            504 or DEADLINE_EXCEEDED after it.
        pending: requests in hand at once; 429 or RESOURCE_EXHAUSTED beyond.
        shutdown_seconds: time that requests in hand have to finish at the end.
        idle_seconds: time a kept-alive connection may stay silent.
    """

    body_bytes: int = 16 * 1024 * 1024
    body_seconds: float = 30.0
    request_seconds: float = 60.0
    pending: int = 128
    shutdown_seconds: int = 10
    idle_seconds: int = 30
