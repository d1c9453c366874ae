"""Our parser beside that of nats-py: whatever comes, however it is cut, both pass on the same."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, strategies as st
from nats.errors import ProtocolError
from nats.protocol.parser import Parser

from walnats._jetstream.parser import MessageParser

if TYPE_CHECKING:
    from collections.abc import Callable


class Recorder:
    """Stands for the client: notes what the parser calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.receivers = {sid: sid for sid in range(50)}

    def take(self, sid: int, subject: bytes, reply: bytes, data: bytes) -> None:
        self.calls.append(('_process_msg', sid, subject, reply or None, data or None, None))

    def __getattr__(self, name: str) -> Any:
        async def note(*args: Any) -> None:
            # No headers are None for one, and b'' for the other: both are false.
            self.calls.append((name, *(arg or None for arg in args)))

        return note


def read(parser_class: Callable[[Any], Parser], pieces: list[bytes]) -> list[tuple[Any, ...]]:
    """Give what a parser calls, `ProtocolError` at the end if it raises that."""
    client = Recorder()
    parser = parser_class(client)

    async def parse() -> None:
        for piece in pieces:
            await parser.parse(piece)

    try:
        asyncio.run(parse())
    except ProtocolError:
        client.calls.append(('ProtocolError',))
    return client.calls


tokens = st.sampled_from([b'a', b'$JS.ACK.s.c.1.2.3.4.5', b'_INBOX.x.1', b'\xff\xfe', b'MSG', b'"'])
payloads = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b'', b'\r\n', b'MSG a 1 3\r\nabc\r\n', b'PING\r\n', b'x' * 70_000]),
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    payload = draw(payloads)
    reply = draw(st.one_of(st.just(b''), tokens.map(lambda token: token + b' ')))
    start = draw(tokens) + b' %d ' % draw(st.integers(1, 99)) + reply
    if draw(st.booleans()):
        return b'MSG %s%d\r\n%s\r\n' % (start, len(payload), payload)
    headers = draw(st.sampled_from([b'NATS/1.0\r\n\r\n', b'NATS/1.0\r\nA: b\r\n\r\n', b'broken']))
    sizes = b'%d %d' % (len(headers), len(headers) + len(payload))
    return b'HMSG %s%s\r\n%s%s\r\n' % (start, sizes, headers, payload)


others = st.sampled_from(
    [
        b'PING\r\n',
        b'PONG\r\n',
        b'+OK\r\n',
        b"-ERR 'no'\r\n",
        b'INFO {"a": 1}\r\n',
        b'MSG  a 1  0\r\n\r\n',
    ]
)


@st.composite
def cut(draw: st.DrawFn) -> list[bytes]:
    """What a server may send, in pieces."""
    sent = b''.join(draw(st.lists(st.one_of(messages(), messages(), others), max_size=8)))
    places = sorted(draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    return [sent[a:b] for a, b in zip([0, *places], [*places, len(sent)], strict=True)]


@given(cut())
@example([b'MSG a 1 2\r\nab\r\nMSG a 1 ', b'3\r\nabc\r', b'\nPING\r\n'])
def test_it_passes_on_what_nats_py_does(pieces: list[bytes]) -> None:
    assert read(MessageParser, pieces) == read(Parser, pieces)


@pytest.mark.parametrize('sent', [b'MSG a x 3\r\nabc\r\n', b'HMSG a 1 3\r\nabc\r\n', b'WAT\r\n'])
def test_it_refuses_what_nats_py_does(sent: bytes) -> None:
    assert read(MessageParser, [sent]) == read(Parser, [sent])
