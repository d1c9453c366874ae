"""What tests do to servers, beside what `EmbeddedServer` does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process from doing anything while the context lasts; its connections stay open."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)  # all its threads
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # it may have been killed
            os.kill(pid, signal.SIGCONT)


async def send_raw(url: str, command: bytes) -> None:
    """Write to a socket of one's own, and wait until the server has read it."""
    host, _, port = url.removeprefix('nats://').rpartition(':')
    reader, writer = await asyncio.open_connection(host, int(port))
    await reader.readline()
    writer.write(b'CONNECT {"verbose": false, "headers": true}\r\n' + command + b'PING\r\n')
    assert await reader.readline() == b'PONG\r\n'
    writer.close()
    await writer.wait_closed()


def free_ports(count: int) -> list[int]:
    """Give ports of the loopback interface that nobody has, for a moment at least."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(('127.0.0.1', 0))
        return [each.getsockname()[1] for each in sockets]
