"""The local server: TensorFlow Serving's gRPC and REST APIs, without Docker.

It is not TensorFlow Serving, and says so when it starts. It runs the same C++ runtime
in this process through TensorFlow's C API; the real TensorFlow Serving takes the same
folders and the same configuration files as they are.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import uvicorn

from claimpt_tf.allocator import share_arenas
from claimpt_tf.errors import ArtifactError, InputError
from claimpt_tf.serving.batching import Batcher
from claimpt_tf.serving.errors import InferenceError, ServingError
from claimpt_tf.serving.event_log import log_event, log_to_stderr
from claimpt_tf.serving.grpc_api import GrpcApi
from claimpt_tf.serving.grpc_server import GrpcServer
from claimpt_tf.serving.inference import Inference
from claimpt_tf.serving.limits import Limits
from claimpt_tf.serving.metrics import Metrics
from claimpt_tf.serving.models_config import (
    Batching,
    ModelConfig,
    check_name,
    read_models_config,
)
from claimpt_tf.serving.rest_api import RestApi
from claimpt_tf.serving.saved_model import model_versions
from claimpt_tf.serving.served_models import ModelRef, ServedModels
from claimpt_tf.serving.tls import Tls

NOTICE = (
    "claimpt's local server: it speaks TensorFlow Serving's REST and gRPC APIs, but is "
    "not TensorFlow Serving"
)
_GRPC_THREADS = 64


class _Uvicorn(uvicorn.Server):
    """Uvicorn that ends quietly on SIGTERM and SIGINT, and tells when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The original raises the signal again afterwards, so that a shutdown that
        # went well would still end the process as killed.
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handled = (signal.SIGINT, signal.SIGTERM)
        before = {sig: signal.signal(sig, self.handle_exit) for sig in handled}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)


def _bind(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ServingError(f"{port} is no port; give one from 1 to 65535, or 0")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # With the protocol named, asyncio switches Nagle's algorithm off; without,
        # every answer waits 40 ms for the client's delayed acknowledgement.
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            # Listening now finds a port in use before a model is loaded for nothing.
            bound.listen(1)
        except OSError:
            bound.close()
            raise
    except socket.gaierror:
        raise ServingError(f"{host!r} is no address of this machine") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = "is in use; choose another port, or 0 for any free one"
        elif error.errno == errno.EACCES:
            why = "is not allowed to this user; choose one above 1023"
        else:
            why = f"cannot be opened: {error.strerror}"
        raise ServingError(f"port {port} on {host} {why}") from error
    return bound


class LocalServer:
    """Models on a REST and a gRPC port; `run` blocks, `with` serves from a thread.

    Args:
        model_base: folder of numbered version folders, as the Pusher leaves it; None
            with `config`.
        name: that model's name.
        config: TensorFlow Serving's models.config, for several models, policies and
            labels; read again when it changes.
        host: address to listen on.
        rest_port: port of REST; 0 takes a free one, `url` tells which.
        grpc_port: port of gRPC; 0 takes a free one; None opens none.
        poll_seconds: time between two looks for new versions.
        workers: threads that read REST requests.
        threads: of one request, as CppSession's. A request is some hundred small
            steps: handing them to other threads takes longer than doing them, and
            the cores are kept busy by requests side by side.
        batching: how requests are joined.
        limits: sizes, times and numbers of requests.
        tls: certificates of both ports; None for plain text.
        wait_for_model: start without any version and answer 503 until one comes.

    Raises:
        InputError: a bad name or configuration.
        ServingError: a port cannot be opened, or a certificate is none.
        ArtifactError: no version there, or none that loads.

    Example:
        with LocalServer("models/claimpt", rest_port=0) as server:
            (risk,) = Client(server.url).predict([member])
    """

    def __init__(
        self,
        model_base: str | Path | None = None,
        *,
        name: str = "claimpt",
        config: str | Path | None = None,
        host: str = "127.0.0.1",
        rest_port: int = 8501,
        grpc_port: int | None = None,
        poll_seconds: float = 1.0,
        workers: int | None = None,
        threads: int | None = 1,
        batching: Batching | None = None,
        limits: Limits | None = None,
        tls: Tls | None = None,
        wait_for_model: bool = False,
    ) -> None:
        if (model_base is None) == (config is None):
            raise InputError("give either MODEL_BASE or --config")
        self._config = Path(config) if config is not None else None
        if self._config is not None:
            configs = read_models_config(self._config)
        else:
            check_name(name)
            configs = [ModelConfig(name, str(model_base))]
        self.limits, self.tls = limits or Limits(), tls
        if tls is not None:
            tls.check()
        self._poll_seconds = poll_seconds
        self._stopped = threading.Event()
        self._listening = threading.Event()
        self._thread: threading.Thread | None = None
        self._socket = _bind(host, rest_port)
        self.host, self.rest_port = host, self._socket.getsockname()[1]
        self.models = ServedModels(configs, threads=threads)
        self._config_mark = self._mark()
        options = batching or Batching()
        self.inference = Inference(
            self.models, Batcher(options), self.limits.pending, Metrics()
        )
        self._grpc: GrpcServer | None = None
        try:
            if grpc_port is not None:
                if not 0 <= grpc_port <= 65535:
                    raise ServingError(f"{grpc_port} is no port; give 1 to 65535, or 0")
                self._grpc = GrpcServer(
                    GrpcApi(self.inference, self.models.reload),
                    host, grpc_port, self.limits, _GRPC_THREADS, tls,
                )  # fmt: skip
            self._first_load(wait_for_model)
        except BaseException:
            self._socket.close()
            raise
        # A thread waits for its batch, so that there are more of them than cores.
        self._pool = ThreadPoolExecutor(
            workers or 2 * options.max_batch_size, thread_name_prefix="claimpt-serving"
        )
        api = RestApi(self.inference, self._pool, self.limits)
        self._on_ready: Callable[[], None] = lambda: None
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                api.app,
                http="h11",
                loop="asyncio",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=self.limits.idle_seconds,
                timeout_graceful_shutdown=self.limits.shutdown_seconds,
                **(tls.for_uvicorn() if tls else {}),  # type: ignore[arg-type]
            ),
            self._ready,
        )

    @property
    def url(self) -> str:
        """Where REST listens, for example `http://127.0.0.1:8501`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.rest_port}"

    @property
    def grpc_address(self) -> str | None:
        """Where gRPC listens, for example `127.0.0.1:8500`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self._grpc.port}" if self._grpc else None

    def versions(self) -> dict[str, int | None]:
        """The version that each model serves by default."""
        return {n: self.models.model(ModelRef(n)).current for n in self.models.names()}

    def _first_load(self, wait: bool) -> None:
        self.models.poll()
        if wait:
            return
        for name in self.models.names():
            model = self.models.model(ModelRef(name))
            if model.current is not None:
                continue
            if not model_versions(model.base):
                raise ArtifactError(
                    f"{model.base}: no version of a model here; give the folder whose "
                    "subfolders are numbered and hold saved_model.pb, as `claimpt run` "
                    "pushes them"
                )
            statuses = model.statuses()
            why = statuses[0].error_message if statuses else "the policy asks for none"
            raise ArtifactError(f"no version loads: {why}")

    def _ready(self) -> None:
        if self._grpc is not None:
            self._grpc.start()
        log_event(
            "listening",
            url=self.url,
            grpc=self.grpc_address,
            models=self.versions(),
            server="claimpt local server, not TensorFlow Serving",
        )
        self._listening.set()
        self._on_ready()

    def _mark(self) -> tuple[int, int] | None:
        if self._config is None:
            return None
        try:
            stat = self._config.stat()
        except OSError:
            return None  # it is being replaced
        return stat.st_mtime_ns, stat.st_ino

    def _poll_once(self) -> None:
        mark = self._mark()
        if self._config is not None and mark not in (None, self._config_mark):
            self._config_mark = mark
            try:
                self.models.reload(read_models_config(self._config))
            except (InputError, InferenceError) as error:
                log_event("config_refused", logging.ERROR, reason=str(error))
        self.models.poll()

    def _poll(self) -> None:
        while not self._stopped.wait(self._poll_seconds):
            try:
                self._poll_once()
            except Exception as error:  # a poll must never end the polling
                log_event("poll_failed", logging.ERROR, failure=type(error).__name__)

    def run(self, on_ready: Callable[[LocalServer], None] | None = None) -> None:
        """Serves until SIGTERM, SIGINT or `stop`; then finishes what is in hand.

        Args:
            on_ready: called once, when requests are taken.
        """
        if on_ready is not None:
            self._on_ready = lambda: on_ready(self)
        poller = threading.Thread(target=self._poll, daemon=True)
        poller.start()
        try:
            self._uvicorn.run(sockets=[self._socket])
        finally:
            self._stopped.set()
            self._listening.set()
            self._socket.close()
            if self._grpc is not None:
                self._grpc.stop()
            poller.join()
            self._pool.shutdown(wait=True)
            self.models.close()
            log_event("stopped")

    def stop(self) -> None:
        """Asks `run` to end; requests in hand are finished first."""
        self._uvicorn.should_exit = True

    def __enter__(self) -> LocalServer:
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()
        self._listening.wait()
        if not self._uvicorn.started:
            raise ServingError("the server ended before it took requests")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        assert self._thread is not None
        self._thread.join()


def serve(
    model_base: str | Path | None = None,
    *,
    say: Callable[[str], None] = print,
    on_ready: Callable[[LocalServer], None] | None = None,
    **options: Any,
) -> None:
    """Serves pushed models over REST and gRPC until SIGTERM or Ctrl-C.

    Args:
        model_base: as LocalServer's, like all other options and errors.
        say: gets the lines meant for a person; the event log goes to standard error
            as JSON lines.
        on_ready: called with the server once it takes requests (its `url` holds the
            port that was chosen).
        **options: LocalServer's.
    """
    share_arenas()
    log_to_stderr()
    server = LocalServer(model_base, **options)

    def greet(running: LocalServer) -> None:
        say(NOTICE)
        for name, version in running.versions().items():
            what = f"version {version}" if version is not None else "no version yet"
            say(f"{name}, {what}: {running.url}/v1/models/{name}  (Ctrl-C ends it)")
        if running.grpc_address:
            say(f"gRPC: {running.grpc_address}")
        if on_ready is not None:
            on_ready(running)

    server.run(greet)
