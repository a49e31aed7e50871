"""Certificates of a server that is reached over a network."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from claimpt_tf.serving.errors import ServingError


@dataclass(frozen=True)
class Tls:
    """Files in PEM form.

    Attributes:
        certificate: the server's chain.
        key: its private key.
        client_ca: who signs clients' certificates; given, a client without one is
            turned away (mutual TLS).
    """

    certificate: str
    key: str
    client_ca: str | None = None

    def check(self) -> None:
        """Refuses files that are missing or do not fit together.

        Raises:
            ServingError: what is wrong with which file.
        """
        for path in filter(None, (self.certificate, self.key, self.client_ca)):
            if not Path(path).is_file():
                raise ServingError(f"{path}: no such file; give a PEM file")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (ssl.SSLError, OSError) as error:
            raise ServingError(
                f"{self.certificate} and {self.key} are no certificate and its key: "
                f"{getattr(error, 'reason', None) or error.strerror or error}"
            ) from None
        if self.client_ca:
            try:
                context.load_verify_locations(self.client_ca)
            except (ssl.SSLError, OSError):
                raise ServingError(
                    f"{self.client_ca}: holds no certificate in PEM form"
                ) from None

    def for_grpc(self) -> grpc.ServerCredentials:
        """What a gRPC server takes."""
        pair = (Path(self.key).read_bytes(), Path(self.certificate).read_bytes())
        authority = Path(self.client_ca).read_bytes() if self.client_ca else None
        return grpc.ssl_server_credentials(
            [pair], authority, require_client_auth=authority is not None
        )

    def for_uvicorn(self) -> dict[str, object]:
        """What a uvicorn.Config takes."""
        return {
            "ssl_certfile": self.certificate,
            "ssl_keyfile": self.key,
            "ssl_ca_certs": self.client_ca,
            "ssl_cert_reqs": ssl.CERT_REQUIRED if self.client_ca else ssl.CERT_NONE,
        }
