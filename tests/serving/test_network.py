"""What a server on a network must do: TLS, limits, metrics, labels, many models."""

from __future__ import annotations

import concurrent.futures
import datetime
import ipaddress
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests as http

from claimpt_tf.serving import protos
from claimpt_tf.serving.client import Client
from claimpt_tf.serving.errors import InferenceError, ServingError
from claimpt_tf.serving.grpc_client import GrpcClient
from claimpt_tf.serving.limits import Limits
from claimpt_tf.serving.models_config import (
    Batching,
    ModelConfig,
    VersionPolicy,
    write_models_config,
)
from claimpt_tf.serving.promotion import promote, rollback
from claimpt_tf.serving.server import LocalServer
from claimpt_tf.serving.tls import Tls


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def health(address: str, service: str = "") -> int:
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=protos.HealthCheckRequest.SerializeToString,
            response_deserializer=protos.HealthCheckResponse.FromString,
        )
        return check(protos.HealthCheckRequest(service=service), timeout=20).status


def certificate(folder: Path, name: str, issuer: Any = None) -> Any:
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    signer, signed_by = issuer or (key, subject)
    day, now = datetime.timedelta(days=1), datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signed_by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .sign(signer, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / f"{name}.pem").write_bytes(made.public_bytes(pem))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return key, subject


def test_only_clients_with_a_certificate_come_in(
    saved_models: dict[str, Path], tmp_path: Path, members: list[dict[str, Any]]
) -> None:
    shutil.copytree(saved_models["one"], tmp_path / "m" / "1")
    ca = certificate(tmp_path, "ca")
    certificate(tmp_path, "server", ca)
    certificate(tmp_path, "clinic", ca)
    file = {p.name: str(p) for p in tmp_path.iterdir()}
    tls = Tls(file["server.pem"], file["server.key"], file["ca.pem"])
    mine = {"ca": file["ca.pem"], "retries": 0}
    ours = {**mine, "certificate": (file["clinic.pem"], file["clinic.key"])}
    with LocalServer(tmp_path / "m", rest_port=0, grpc_port=0, tls=tls) as server:
        assert server.url.startswith("https://") and server.grpc_address
        with Client(server.url, **ours) as client:
            over_rest = client.predict(members)
        with GrpcClient(server.grpc_address, **ours) as client:
            assert client.predict(members) == pytest.approx(over_rest, abs=1e-6)
        for refused in (
            Client(server.url, **mine),
            GrpcClient(server.grpc_address, **mine),
            Client(server.url.replace("https", "http"), retries=0),
        ):
            with refused, pytest.raises(ServingError):
                refused.predict(members)
    with pytest.raises(ServingError, match="no certificate and its key"):
        Tls(file["server.pem"], file["clinic.key"]).check()
    with pytest.raises(ServingError, match="nowhere.pem: no such file"):
        Tls(str(tmp_path / "nowhere.pem"), file["clinic.key"]).check()


def test_models_labels_promotion_and_rollback(
    saved_models: dict[str, Path], tmp_path: Path, members: list[dict[str, Any]]
) -> None:
    for number, name in ((1, "one"), (2, "two")):
        shutil.copytree(saved_models[name], tmp_path / "a" / str(number))
    shutil.copytree(saved_models["two"], tmp_path / "b" / "5")
    config = tmp_path / "models.config"
    config.write_text(write_models_config([
        ModelConfig("a", str(tmp_path / "a"), VersionPolicy(0), {"stable": 1}),
        ModelConfig("b", str(tmp_path / "b")),
    ]))  # fmt: skip
    with LocalServer(config=config, rest_port=0, grpc_port=0, poll_seconds=0.1) as s:
        address = s.grpc_address
        assert address is not None and s.versions() == {"a": 2, "b": 5}

        def ask(name: str, **which: Any) -> list[float]:
            with GrpcClient(address, name, retries=0, **which) as client:
                return client.predict(members)

        one, two = ask("a", version=1), ask("a")
        assert ask("a", label="stable") == pytest.approx(one)
        assert ask("b") == pytest.approx(two) != pytest.approx(one)
        labelled = f"{s.url}/v1/models/a/labels/stable"
        assert http.get(labelled, timeout=20).json()["model_version_status"][0][
            "version"] == "1"  # fmt: skip
        assert health(address) == health(address, "a") == 1

        failed: list[Exception] = []
        ended = False

        def load() -> None:
            with GrpcClient(address, "a", label="stable", retries=0) as client:
                while not ended:
                    try:
                        client.predict(members[:1])
                    except Exception as error:
                        failed.append(error)

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            running = [pool.submit(load) for _ in range(2)]
            try:
                promote(config, "a", 2)
                until(lambda: ask("a", label="stable") == pytest.approx(two))
                rollback(config, "a")
                until(lambda: ask("a", label="stable") == pytest.approx(one))
                config.write_text("nonsense {")
                time.sleep(0.5)
            finally:
                ended = True
        for thread in running:
            thread.result()
        assert failed == []
        assert ask("a", label="stable") == pytest.approx(one)


def test_limits_metrics_and_health(
    saved_models: dict[str, Path], tmp_path: Path, members: list[dict[str, Any]]
) -> None:
    shutil.copytree(saved_models["one"], tmp_path / "1")
    limits = Limits(body_bytes=20_000)
    with LocalServer(tmp_path, rest_port=0, grpc_port=0, limits=limits) as server:
        assert server.grpc_address is not None
        with GrpcClient(server.grpc_address, retries=0) as client:
            client.predict(members[:2])
            with pytest.raises(InferenceError) as caught:
                client.predict(members * 20)
            assert caught.value.code == "RESOURCE_EXHAUSTED"
            client.predict(members[:2])
            with pytest.raises(InferenceError, match='"explain" not found'):
                client.explain(members[:1])
        text = http.get(f"{server.url}/monitoring/prometheus/metrics", timeout=20).text
        count = (
            ':tensorflow:serving:request_count{model_name="claimpt",status="OK"} 2.0'
        )
        assert count in text
        assert 'request_latency_bucket{API="Predict",entrypoint="GRPC"' in text
        with pytest.raises(grpc.RpcError) as unknown:
            health(server.grpc_address, "another")
        assert unknown.value.code() == grpc.StatusCode.NOT_FOUND
        http.post(f"{server.url}/v1/models/{'x' * 50}:predict", data=b"{}", timeout=20)
        text = http.get(f"{server.url}/monitoring/prometheus/metrics", timeout=20).text
        assert "xxx" not in text, "a stranger's words would fill the memory"
    none = Limits(pending=0)
    with LocalServer(tmp_path, rest_port=0, grpc_port=0, limits=none) as server:
        assert server.grpc_address is not None
        with (
            GrpcClient(server.grpc_address, retries=0) as client,
            pytest.raises(InferenceError) as caught,
        ):
            client.predict(members[:1])
        assert caught.value.code == "RESOURCE_EXHAUSTED"
        assert health(server.grpc_address) == 1


def test_a_full_queue_over_rest(
    saved_models: dict[str, Path], tmp_path: Path, members: list[dict[str, Any]]
) -> None:
    shutil.copytree(saved_models["one"], tmp_path / "1")
    with (
        LocalServer(tmp_path, rest_port=0, batching=Batching(max_enqueued=0)) as server,
        Client(server.url, retries=0) as client,
        pytest.raises(InferenceError, match="429: the batch scheduling queue is full"),
    ):
        client.predict(members)


def test_a_server_killed_in_mid_request(
    server_process: Any,
    saved_models: dict[str, Path],
    tmp_path: Path,
    members: list[dict[str, Any]],
) -> None:
    import signal

    shutil.copytree(saved_models["one"], tmp_path / "m" / "1")
    server = server_process(tmp_path / "m", tmp_path / "log")
    with GrpcClient(server.grpc, retries=1, backoff=0.05) as client:
        assert len(client.predict(members)) == 8
        server.stop(signal.SIGKILL)
        with pytest.raises(ServingError):
            client.predict(members)
