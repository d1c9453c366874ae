"""What the supervisor and its workers say to each other."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from walnats.cli._control import (
    Report,
    Stop,
    WorkerOptions,
    decode_report,
    decode_stop,
    encode,
    receive_options,
    send_options,
)
from walnats.cli._logs import LogFormat, LogLevel
from walnats.cli._server_options import ServerOptions


def test_options_come_as_they_were_sent() -> None:
    server = ServerOptions(['nats://me:secret@here:4222'], creds=Path('a.creds'), is_default=True)
    options = WorkerOptions(
        target='shop:ACTORS',
        number=2,
        server=server,
        max_jobs=16,
        batch=None,
        burst=False,
        register=True,
        grace=2.5,
        log_format=LogFormat.JSON,
        log_level=LogLevel.DEBUG,
        uvloop=True,
        parent=os.getpid(),
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send_options(ours, options)
        ours.sendall(encode(Stop(0.5)))
        assert receive_options(theirs) == options
        assert decode_stop(theirs.recv(1000)) == Stop(0.5)
    assert 'secret' not in repr(options)


def test_a_report_is_one_line() -> None:
    report = Report(connected=True, jobs=3, error='one\ntwo')
    line = encode(report)
    assert line.count(b'\n') == 1
    assert decode_report(line) == report
