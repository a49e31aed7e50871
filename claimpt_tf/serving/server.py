"""The local server: TensorFlow Serving's REST predict API, without Docker.

It is not TensorFlow Serving, and says so when it starts. It runs the same C++ runtime
in this process through TensorFlow's C API, one model, the highest version; the real
TensorFlow Serving takes the same folder as it is.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uvicorn

from claimpt_tf.errors import ArtifactError
from claimpt_tf.serving.errors import ServingError
from claimpt_tf.serving.event_log import log_event, log_to_stderr
from claimpt_tf.serving.rest_api import Limits, RestApi
from claimpt_tf.serving.saved_model import model_versions
from claimpt_tf.serving.versions import ModelVersions

NOTICE = (
    "claimpt's local server: it speaks TensorFlow Serving's REST predict API, but is "
    "not TensorFlow Serving"
)
_NAME = re.compile(r"[^/:\s]+")


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
    """One model on one port; `run` blocks, a `with` block serves from a thread.

    Args:
        model_base: folder of numbered version folders, as the Pusher leaves it.
        name: the model's name in URLs.
        host: address to listen on.
        rest_port: port to listen on; 0 takes a free one, `url` tells which.
        poll_seconds: time between two looks for new versions.
        workers: threads that run requests; None takes one a core.
        threads: threads inside the runtime; None leaves it to TensorFlow.
        limits: body size, time and number of requests.
        wait_for_model: start without any version and answer 503 until one comes.

    Raises:
        ServingError: a bad name, or the port cannot be opened.
        ArtifactError: no version there, or none that loads.

    Example:
        with LocalServer("models/claimpt", rest_port=0) as server:
            (risk,) = Client(server.url).predict([member])
    """

    def __init__(
        self,
        model_base: str | Path,
        *,
        name: str = "claimpt",
        host: str = "127.0.0.1",
        rest_port: int = 8501,
        poll_seconds: float = 2.0,
        workers: int | None = None,
        threads: int | None = None,
        limits: Limits | None = None,
        wait_for_model: bool = False,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise ServingError("a model's name has no spaces, slashes or colons")
        self.name = name
        self.limits = limits or Limits()
        self._poll_seconds = poll_seconds
        self._stopped = threading.Event()
        self._listening = threading.Event()
        self._thread: threading.Thread | None = None
        self._socket = _bind(host, rest_port)
        self.host, self.rest_port = host, self._socket.getsockname()[1]
        self.versions = ModelVersions(name, model_base, threads=threads)
        try:
            self._first_load(wait_for_model)
        except BaseException:
            self._socket.close()
            raise
        self._pool = ThreadPoolExecutor(
            workers or os.cpu_count() or 1, thread_name_prefix="claimpt-serving"
        )
        api = RestApi(self.versions, self._pool, self.limits)
        config = uvicorn.Config(
            api.app,
            http="h11",
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=self.limits.idle_seconds,
            timeout_graceful_shutdown=self.limits.shutdown_seconds,
        )
        self._on_ready: Callable[[], None] = lambda: None
        self._uvicorn = _Uvicorn(config, self._ready)

    @property
    def url(self) -> str:
        """Where it listens, for example `http://127.0.0.1:8501`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.rest_port}"

    def _first_load(self, wait: bool) -> None:
        self.versions.poll()
        if wait or self.versions.current is not None:
            return
        base = self.versions.base
        if not model_versions(base):
            raise ArtifactError(
                f"{base}: no version of a model here; give the folder whose subfolders "
                "are numbered and hold saved_model.pb, as `claimpt run` pushes them"
            )
        newest = self.versions.statuses()[0]
        raise ArtifactError(f"no version loads: {newest.error_message}")

    def _ready(self) -> None:
        log_event(
            "listening",
            url=self.url,
            model=self.name,
            version=self.versions.current,
            server="claimpt local server, not TensorFlow Serving",
        )
        self._listening.set()
        self._on_ready()

    def _poll(self) -> None:
        while not self._stopped.wait(self._poll_seconds):
            try:
                self.versions.poll()
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
            poller.join()
            self._pool.shutdown(wait=True)
            self.versions.close()
            log_event("stopped", model=self.name)

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
    model_base: str | Path,
    name: str = "claimpt",
    host: str = "127.0.0.1",
    rest_port: int = 8501,
    *,
    poll_seconds: float = 2.0,
    workers: int | None = None,
    threads: int | None = None,
    limits: Limits | None = None,
    wait_for_model: bool = False,
    say: Callable[[str], None] = print,
    on_ready: Callable[[LocalServer], None] | None = None,
) -> None:
    """Serves a pushed model over REST until SIGTERM or Ctrl-C.

    Arguments and errors are LocalServer's; `say` gets the lines meant for a person,
    the event log goes to standard error as JSON lines, and `on_ready` is called with
    the server once it takes requests (its `url` holds the port that was chosen).
    """
    log_to_stderr()
    server = LocalServer(
        model_base,
        name=name,
        host=host,
        rest_port=rest_port,
        poll_seconds=poll_seconds,
        workers=workers,
        threads=threads,
        limits=limits,
        wait_for_model=wait_for_model,
    )

    def greet(running: LocalServer) -> None:
        version = running.versions.current
        what = f"version {version}" if version is not None else "no version yet"
        say(NOTICE)
        say(f"{name}, {what}: {running.url}/v1/models/{name}  (Ctrl-C ends it)")
        if on_ready is not None:
            on_ready(running)

    server.run(greet)
