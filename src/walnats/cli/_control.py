"""What the supervisor and its worker processes say to each other, over a socket for each of them.

First the supervisor sends the options: they don't belong on a command line, which everybody can
read, as there may be a password in them. After that there is JSON in lines. The worker reports what
it does; the supervisor asks it to stop. The end of the connection tells each that the other
one is gone.
"""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ._logs import LogFormat, LogLevel
from ._server_options import ServerOptions

REPORT_INTERVAL = 0.25
"""Seconds between two reports of a worker that listens and whose event loop turns."""

CLOSING_TIME = 7.0
"""Seconds after the grace in which a worker has to be over: to hand back what isn't done, and to
close what its target has opened."""

_SIZE_BYTES = 4


@dataclass(frozen=True)
class WorkerOptions:
    """What a worker process has to know."""

    target: str
    number: int | None
    """Which of several workers it is."""
    server: ServerOptions
    max_jobs: int
    batch: int | None
    burst: bool
    register: bool
    grace: float
    log_format: LogFormat
    log_level: LogLevel
    uvloop: bool
    parent: int
    """The id of the process of the supervisor."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker does, as it says itself."""

    connected: bool = False
    listening: bool = False
    jobs: int = 0
    held: int = 0
    error: str | None = None
    """Why it can't go on."""


class Stop(msgspec.Struct, frozen=True):
    """Ask for no more messages, and end within so many seconds."""

    grace: float


def encode(message: Report | Stop) -> bytes:
    """Give a line."""
    return msgspec.json.encode(message) + b'\n'


decode_report = msgspec.json.Decoder(Report).decode
decode_stop = msgspec.json.Decoder(Stop).decode


def send_options(control: socket.socket, options: WorkerOptions) -> None:
    """Tell a worker its options, before anything else."""
    data = msgspec.json.encode(options, enc_hook=str)
    control.sendall(len(data).to_bytes(_SIZE_BYTES) + data)


def receive_options(control: socket.socket) -> WorkerOptions:
    """Wait for the options."""
    size = int.from_bytes(control.recv(_SIZE_BYTES, socket.MSG_WAITALL))
    data = control.recv(size, socket.MSG_WAITALL)
    return msgspec.json.decode(data, type=WorkerOptions, dec_hook=_make)


def _make(kind: type[Any], value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise TypeError(f'{kind.__name__} is not sent')
