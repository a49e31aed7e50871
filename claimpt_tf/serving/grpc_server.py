"""The gRPC side of the local server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc

from claimpt_tf.serving.errors import ServingError
from claimpt_tf.serving.grpc_api import GrpcApi
from claimpt_tf.serving.limits import Limits
from claimpt_tf.serving.tls import Tls


class GrpcServer:
    """Listens for gRPC.

    Args:
        api: the services.
        host: address to listen on.
        port: port to listen on; 0 takes a free one, `port` tells which.
        limits: sizes and times.
        workers: threads; a request holds one while it waits for its batch.
        tls: certificates; None for plain text.

    Raises:
        ServingError: the port cannot be opened.
    """

    def __init__(
        self, api: GrpcApi, host: str, port: int, limits: Limits, workers: int,
        tls: Tls | None,
    ) -> None:  # fmt: skip
        self._api, self._limits = api, limits
        self._server = grpc.server(
            ThreadPoolExecutor(workers, thread_name_prefix="claimpt-grpc"),
            options=[
                ("grpc.max_receive_message_length", limits.body_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),  # two servers on one port help nobody
                ("grpc.max_connection_idle_ms", limits.idle_seconds * 20_000),
            ],
        )
        self._server.add_generic_rpc_handlers(api.handlers())
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self.port = (
                self._server.add_secure_port(address, tls.for_grpc())
                if tls
                else self._server.add_insecure_port(address)
            )
        except RuntimeError:
            self.port = 0
        if not self.port:
            raise ServingError(
                f"gRPC port {port} on {host} cannot be opened: in use, or not allowed; "
                "choose another port, or 0 for any free one"
            )

    def start(self) -> None:
        """Takes requests."""
        self._server.start()

    def stop(self) -> None:
        """Takes no more requests, and waits for those in hand."""
        self._api.end()
        self._server.stop(self._limits.shutdown_seconds).wait()
