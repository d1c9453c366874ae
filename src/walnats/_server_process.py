"""One run of a nats-server as a child process: launched, ready, stopped or killed, and watched.

A program can be killed, and then it can't stop its children. So a guard runs beside the server,
see `_LAUNCHER`, and ends it when the program is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import signal
from collections import deque
from typing import TYPE_CHECKING

from .errors import ServerStartError

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from pathlib import Path

HOST = '127.0.0.1'

_LOG_LINES = 10
_POLL_PERIOD = 0.005  # a server is up in 10 to 40 ms

_log = logging.getLogger('walnats.server')


class ServerProcess:
    """One run of the binary, from its launch to its end."""

    def __init__(self, process: Process, lifeline: int, log: ServerLog) -> None:
        self._process = process
        self._lifeline: int | None = lifeline
        self._log = log
        self._is_ready = False
        self._is_ending = False
        self._watcher = asyncio.create_task(self._watch())

    @classmethod
    async def launch(cls, command: list[str], home: Path, log: ServerLog) -> ServerProcess:
        """Start the command and, beside it, the guard that outlives this program."""
        guard_end, lifeline = os.pipe()
        try:
            process = await _spawn(command, home, log.path, guard_end)
        except BaseException:
            _release_guard(lifeline)
            raise
        finally:
            os.close(guard_end)
        return cls(process, lifeline, log)

    @property
    def pid(self) -> int:
        """The id of the process of the nats-server itself."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.returncode is None

    async def wait_ready(self, place: Path, timeout: float) -> str:
        """Give the URL, once JetStream answers."""
        try:
            async with asyncio.timeout(timeout):
                while not (url := await _find_ready(place)):
                    if not self.is_alive:
                        raise ServerStartError(self._describe_death())
                    await asyncio.sleep(_POLL_PERIOD)
        except TimeoutError:
            raise ServerStartError(
                f'the nats-server was not ready within {timeout:g} seconds. {self._log.tail()}'
            ) from None
        self._is_ready = True
        return url

    async def stop(self, timeout: float) -> None:
        """End it by SIGTERM, and by SIGKILL if that takes too long."""
        self._is_ending = True
        try:
            self._send(signal.SIGTERM)
            async with asyncio.timeout(timeout):
                await self._wait_end()
        except TimeoutError:
            _log.warning('the nats-server did not stop within %g seconds: killed it', timeout)
        finally:
            await self.kill()

    async def kill(self) -> None:
        """End it by SIGKILL, and wait for the end."""
        self._is_ending = True
        self._send(signal.SIGKILL)
        await self.wait()

    async def wait(self) -> None:
        """Wait until it has ended, however that comes."""
        await asyncio.wait({self._watcher})

    async def _watch(self) -> None:
        await self._wait_end()
        if self._is_ready and not self._is_ending:
            _log.error('%s', self._describe_death())

    async def _wait_end(self) -> None:
        await self._process.wait()
        if self._lifeline is not None:
            _release_guard(self._lifeline)
            self._lifeline = None

    def _send(self, what: signal.Signals) -> None:
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(what)

    def _describe_death(self) -> str:
        code = self._process.returncode or 0
        how = f'was ended by signal {-code}' if code < 0 else f'ended by itself with code {code}'
        return f'the nats-server {how}. {self._log.tail()}'


class ServerLog:
    """The log of one run, and what of it can be shown: nothing that is secret."""

    def __init__(self, path: Path, config: str) -> None:
        self.path = path
        self._config = config

    def tail(self) -> str:
        """Give a sentence with the last lines."""
        with self.path.open(encoding='utf-8', errors='replace') as lines:
            last = deque((line.rstrip() for line in lines if line.strip()), maxlen=_LOG_LINES)
        if not last:
            return 'It wrote nothing to its log.'
        shown = [_mask(line, self._config) for line in last]
        return '\n    '.join(['The last lines of its log:', *shown])


_SECRET = re.compile(
    r"""\b(?:user|username|pass|password|token|seed)\b ["']? \s* [:=]? \s* """
    r"""(?: "([^"]+)" | '([^']+)' | \$? ([^\s"',;\[\]{}]+) )""",
    re.IGNORECASE | re.VERBOSE,
)


def _mask(line: str, config: str) -> str:
    """Hide the users and passwords of the configuration, which may be in its errors."""
    secrets = {secret for found in _SECRET.findall(config) for secret in found if secret}
    for secret in sorted(secrets, key=len, reverse=True):
        line = re.sub(rf'(?<!\w){re.escape(secret)}(?!\w)', '***', line)
    return line


# Puts itself in place of the shell the nats-server, so that it is our direct child, and beside
# it a guard that waits for a line. The end of the file in place of a line means that this
# program is gone, however that came; so the guard kills the server (its own parent, which is
# what $$ means in it) and tidies up. $1 is the directory to remove, the rest is the command.
_LAUNCHER = """
home=$1
shift
exec 3<&0
(
    read -r _ || {
        kill -KILL $$
        PATH=/usr/bin:/bin
        sleep 1
        rm -rf -- "$home"
    }
) <&3 &
exec "$@" 3<&- </dev/null
"""


async def _spawn(command: list[str], home: Path, log: Path, lifeline: int) -> Process:
    try:
        with log.open('wb') as output:
            return await asyncio.create_subprocess_exec(
                *('/bin/sh', '-c', _LAUNCHER, 'walnats', str(home), *command),
                stdin=lifeline,
                stdout=output,
                stderr=output,
                start_new_session=True,  # the Ctrl-C of a terminal is for the program
            )
    except OSError as error:
        raise ServerStartError(f"can't start {command[0]}: {error}") from error


def _release_guard(lifeline: int) -> None:
    """End the guard. Only once the server has ended, or it's without one."""
    with contextlib.suppress(BrokenPipeError):
        os.write(lifeline, b'\n')
    os.close(lifeline)


async def _find_ready(place: Path) -> str | None:
    """Give the server's URL, if it has written it already and JetStream answers."""
    ports = _read_ports(place)
    if ports is None or not await _is_healthy(int(ports['monitoring'][0].rpartition(':')[2])):
        return None
    return ports['nats'][0]


def _read_ports(place: Path) -> dict[str, list[str]] | None:
    """Read the file in which the server tells what it listens on."""
    for path in place.glob('*.ports'):
        with contextlib.suppress(ValueError):  # the server is just writing it
            ports: dict[str, list[str]] = json.loads(path.read_bytes())
            return ports
    return None


async def _is_healthy(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            writer.write(b'GET /healthz?js-enabled-only=true HTTP/1.0\r\n\r\n')
            answer = await reader.read()
        finally:
            writer.close()
    except OSError:
        return False
    return answer.split()[1:2] == [b'200']
