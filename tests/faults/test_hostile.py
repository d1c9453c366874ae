"""What anybody may send who can publish: it stops no worker, and keeps no other message back.

Each message is written to the socket by hand. Afterwards it was handled, is a dead letter, or was
never stored, as the table says; and what honest publishers emitted was handled, once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import nats
import pytest
from opentelemetry.sdk.trace import TracerProvider
from tests.servers import send_raw

import walnats
from walnats import middlewares
from walnats.errors import WalnatsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nats.aio.client import Client

    from walnats.types import ConnectedActors, ConnectedEvents

PATIENCE = 15.0
HONEST = range(100, 110)
MAX_HEADERS = 65_535
MAX_PAYLOAD = 1_048_576

HANDLED = 'handled'
DEAD = 'dead'
NEVER_STORED = 'never stored'
TO_NOBODY = 'to nobody'
"""The stream takes it, no consumer does: so it isn't kept."""


class Hostile(NamedTuple):
    """One message, with the subject to send it to, and what has to become of it."""

    fate: str
    payload: bytes = b'1'
    headers: bytes | None = None
    subject: bytes = b'EVENT'

    def command(self, event: str) -> bytes:
        """Give what goes over the wire; EVENT and STREAM stand for the names of both."""
        subject, headers = (
            text.replace(b'EVENT', event.encode()) for text in (self.subject, self.headers or b'')
        )
        if self.headers is None:
            return b'PUB %s %d\r\n%s\r\n' % (subject, len(self.payload), self.payload)
        total = len(headers) + len(self.payload)
        start = b'HPUB %s %d %d\r\n' % (subject, len(headers), total)
        return start + headers + self.payload + b'\r\n'


def block(*lines: bytes) -> bytes:
    return b'\r\n'.join([b'NATS/1.0', *lines, b'', b''])


def filled(size: int, prefix: bytes = b'X: ') -> bytes:
    """Give headers of that size, most of it one value."""
    return block(prefix + b'x' * (size - len(block(prefix))))


def each(fate: str, name: str, *values: bytes) -> dict[str, Hostile]:
    """Give a message for each value that a header may have."""
    return {
        f'{name} {value[:40]!r}, {len(value)} bytes': Hostile(
            fate, headers=block(name.encode() + b': ' + value)
        )
        for value in values
    }


SUBJECTS = {
    'subject that is not UTF-8': Hostile(TO_NOBODY, subject=b'walnats.to.EVENT.\xff\xfe'),
    'subject of an actor that is not there': Hostile(TO_NOBODY, subject=b'walnats.to.EVENT.x'),
    'subject of the actor itself': Hostile(HANDLED, subject=b'walnats.to.EVENT.actor'),
}
PAYLOADS = {
    'empty payload': Hostile(DEAD, b''),
    'payload that is not UTF-8': Hostile(DEAD, b'\xff\xfe\x00'),
    'payload of another type': Hostile(DEAD, b'{"a": 1}'),
    'number too large': Hostile(DEAD, b'9' * 5000),
    'deeply nested payload': Hostile(DEAD, b'[' * 100_000 + b']' * 100_000),
    'payload of a megabyte': Hostile(DEAD, b'x' * (MAX_PAYLOAD - 4096)),
}
CONTROL = {
    **each(HANDLED, 'Status', b'100', b'404', b'408', b'409', b'503', b'', b'x'),
    'status line 503': Hostile(HANDLED, headers=b'NATS/1.0 503\r\n\r\n'),
    'status line 409': Hostile(HANDLED, headers=b'NATS/1.0 409 Consumer Deleted\r\n\r\n'),
    'status line 409, shutdown': Hostile(HANDLED, headers=b'NATS/1.0 409 Server Shutdown\r\n\r\n'),
    'status without payload': Hostile(DEAD, b'', headers=b'NATS/1.0 503\r\n\r\n'),
}
HEADERS = {
    'a megabyte of headers': Hostile(NEVER_STORED, headers=filled(MAX_PAYLOAD - 1)),
    'all the headers that can be': Hostile(HANDLED, headers=filled(MAX_HEADERS)),
    'all the headers that can be, undecodable': Hostile(DEAD, b'?', headers=filled(MAX_HEADERS)),
    'as many headers as can be': Hostile(
        DEAD, b'?', headers=block(*(b'X%d: y' % number for number in range(6000)))
    ),
    'headers without an end': Hostile(HANDLED, headers=b'NATS/1.0\r\nX: y'),
    'headers without a line': Hostile(HANDLED, headers=b'NATS/1.0\r\n'),
    'headers of another version': Hostile(HANDLED, headers=b'NATS/9.9\r\nX: y\r\n\r\n'),
    'headers of bytes': Hostile(HANDLED, headers=b'\x00\x01\xff' * 100),
    'headers without colons': Hostile(HANDLED, headers=block(b'X', b'Y', b'')),
    'headers without names': Hostile(HANDLED, headers=block(b': x', b' : y', b':')),
    'headers that are not UTF-8': Hostile(HANDLED, headers=block(b'\xff\xfe: \xff\xfe')),
    'headers that are not UTF-8, undecodable': Hostile(
        DEAD, b'?', headers=block(b'\xff\xfe: \xff\xfe', b'X: \xff\n\xfe\r\0y')
    ),
    'a header with line breaks, undecodable': Hostile(
        DEAD, b'?', headers=block(b'X: a\nNats-Rollup: all\rWalnats-Dead-Actor: x')
    ),
}
OBEYED_BY_THE_SERVER = {
    **each(NEVER_STORED, 'Nats-Rollup', b'all', b'sub'),
    **each(NEVER_STORED, 'Nats-TTL', b'1s', b'never'),
    **each(NEVER_STORED, 'Nats-Expected-Last-Sequence', b'999999'),
    **each(NEVER_STORED, 'Nats-Expected-Stream', b'other'),
    **each(HANDLED, 'Nats-Msg-Id', b'x' * 60_000),
    **each(HANDLED, 'Nats-Stream', b'other'),
}
OBEYED_BY_WALNATS = {
    **each(HANDLED, 'Walnats-Delay', b'1e300', b'-1e300', b'NaN', b'inf', b'-1', b'', b'soon'),
    **each(HANDLED, 'Walnats-Delay', b'9' * 60_000, b'\xff', b'0x10', b'1_0'),
    **each(HANDLED, 'Walnats-Trace', b'', b'x' * 65_500, b'\xff\xfe', b'a\nb', b'${jndi:x}'),
    **each(HANDLED, 'traceparent', b'', b'00-0-0-0', b'00-' + b'f' * 60_000, b'\xff'),
    **each(HANDLED, 'tracestate', b'=,=,=', b'a=b,' * 15_000),
    **each(HANDLED, 'Walnats-Reply', b'$JS.API.STREAM.DELETE.EVENT', b'$JS.API.STREAM.PURGE.EVENT'),
    **each(HANDLED, 'Walnats-Reply', b'$SYS.REQ.SERVER.PING', b'EVENT 5\tx', b'>', b'a.*', b'..'),
    **each(HANDLED, 'Walnats-Reply', b'', b'x' * 60_000, b'\xff\xfe', b'walnats.to.EVENT.actor'),
    **each(HANDLED, 'Walnats-Dead-Reason', b'forged'),
}
KINDS = {
    'subjects': SUBJECTS,
    'payloads': PAYLOADS,
    'control messages': CONTROL,
    'headers': HEADERS,
    'what the server obeys': OBEYED_BY_THE_SERVER,
    'what walnats obeys': OBEYED_BY_WALNATS,
}


class Stage:
    """An event with an actor that emits another one, and who knows what was handled."""

    def __init__(self, url: str, nc: Client, name: str) -> None:
        self.url = url
        self.nc = nc
        self.name = name
        self.handled: Counter[int] = Counter()
        # Answers, an emit and middlewares: all that looks at headers.
        self.event = walnats.Event(name, int).with_response(int)
        self.followed = walnats.Event(f'{name}-followed', int)
        self._emit: ConnectedEvents | None = None

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[tuple[ConnectedActors, ConnectedEvents]]:
        """Have the worker listen; it must not fail, nor lose its connection."""
        tracer = TracerProvider(shutdown_on_exit=False).get_tracer('hostile')
        actor = walnats.Actor(
            'actor',
            self.event,
            self._handle,
            ack_wait=2,
            middlewares=[
                middlewares.CurrentContextMiddleware(),
                middlewares.ExtraLogMiddleware(),
                middlewares.TextLogMiddleware(),
                middlewares.OpenTelemetryTraceMiddleware(tracer),
            ],
        )
        async with (
            walnats.Actors(actor).connect(self.url) as worker,
            walnats.Events(self.event, self.followed).connect(worker) as conn,
        ):
            self._emit = conn
            await conn.register()
            await worker.register()
            task = asyncio.create_task(worker.listen())
            try:
                yield worker, conn
            finally:
                await worker.shutdown(timeout=5)
                await task
            assert worker.connection.nc.stats['reconnects'] == 0

    async def wait_unsettled(self, count: int) -> None:
        """Wait until the actor has just so many messages left."""
        try:
            async with asyncio.timeout(PATIENCE):
                while await self._count_unsettled() != count:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            left = await self._count_unsettled()
            raise AssertionError(f'{left} messages are left, not {count}') from None

    async def last_seq(self) -> int:
        """How many messages the stream has ever taken."""
        info = await self.nc.jetstream().stream_info(self.name)
        return info.state.last_seq

    async def _count_unsettled(self) -> int:
        info = await self.nc.jetstream().consumer_info(self.name, 'actor')
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def _handle(self, number: int) -> int:
        assert self._emit is not None
        await self._emit.emit(self.followed, number, sync=True)
        self.handled[number] += 1
        return number


@pytest.fixture
def stage(server_url: str, nc: Client, unique: str) -> Stage:
    return Stage(server_url, nc, unique)


@pytest.mark.parametrize('kind', KINDS)
async def test_each_of_them(stage: Stage, kind: str) -> None:
    buried = 0
    async with stage.listening() as (worker, conn):
        for number, (name, hostile) in enumerate(KINDS[kind].items(), 100):
            before = await stage.last_seq()
            await send_raw(stage.url, hostile.command(stage.name))
            assert await conn.request(stage.event, number) == number, name
            await stage.wait_unsettled(0)
            letters = [letter async for letter in worker.dead_letters()][buried:]
            buried += len(letters)
            fates = {HANDLED: stage.handled.pop(1, 0), DEAD: len(letters)}
            expected = {fate: int(fate == hostile.fate) for fate in fates}
            assert fates == expected, name
            assert all(letter.data == hostile.payload for letter in letters), name
            assert stage.handled.pop(number) == 1, name
            # Neither it nor an answer to it has done anything else to the stream.
            stored = await stage.last_seq() - before
            assert stored == 1 + (hostile.fate != NEVER_STORED), name
    assert not stage.handled


async def test_all_of_them_at_once(stage: Stage) -> None:
    """From as many sides, and among honest ones."""
    messages = [hostile for kind in KINDS.values() for hostile in kind.values()]
    fates = Counter(hostile.fate for hostile in messages)
    commands = [hostile.command(stage.name) for hostile in messages]
    async with stage.listening() as (worker, conn):
        await asyncio.gather(
            *(send_raw(stage.url, command) for command in commands),
            conn.emit_many(stage.event, HONEST),
        )
        assert await conn.request(stage.event, 200, timeout=PATIENCE) == 200
        await stage.wait_unsettled(0)
        letters = [letter async for letter in worker.dead_letters()]
    assert stage.handled == Counter({1: fates[HANDLED], 200: 1, **dict.fromkeys(HONEST, 1)})
    assert len(letters) == fates[DEAD]


async def test_a_letter_that_is_too_big_keeps_nobody_else_back(stage: Stage) -> None:
    """It stays with the actor, as is documented; a limit of the event keeps it out."""
    async with stage.listening() as (worker, conn):
        await send_raw(stage.url, Hostile(DEAD, b'x' * MAX_PAYLOAD).command(stage.name))
        await conn.emit_many(stage.event, HONEST)
        await stage.wait_unsettled(1)
        assert [letter async for letter in worker.dead_letters()] == []
    assert stage.handled == Counter(HONEST)


async def test_a_limit_of_the_event_keeps_out_what_is_too_big_for_a_letter(
    stage: Stage,
) -> None:
    limits = walnats.Limits(message_size=MAX_PAYLOAD - 4096)
    stage.event = walnats.Event(stage.name, int, limits=limits).with_response(int)
    largest = MAX_PAYLOAD - 4096
    async with stage.listening() as (worker, conn):
        for size in largest - 22, largest, MAX_PAYLOAD:  # the stream counts the subject, too
            await send_raw(stage.url, Hostile(DEAD, b'x' * size).command(stage.name))
        await conn.emit(stage.event, 50, sync=True)  # by then the others are stored, too
        await stage.wait_unsettled(0)
        letters = [len(letter.data) async for letter in worker.dead_letters()]
    assert letters
    assert max(letters) <= largest


async def test_an_id_that_somebody_has_used_before(stage: Stage) -> None:
    """A message is a duplicate, whoever has sent the first one: so ids must not be guessed."""
    async with stage.listening() as (_, conn):
        await send_raw(
            stage.url, Hostile(HANDLED, headers=block(b'Nats-Msg-Id: order-7')).command(stage.name)
        )
        await conn.emit(stage.event, 7, uid='order-7', sync=True)
        await conn.emit(stage.event, 8, uid='order-8', sync=True)
        await stage.wait_unsettled(0)
    assert stage.handled == Counter([1, 8])


# --- Dead letters ------------------------------------------------------------

FORGED: dict[str, tuple[bytes, bytes]] = {
    'no headers': (b'walnats.dead.EVENT.actor.1-1', b''),
    'subject that is not UTF-8': (b'walnats.dead.EVENT.actor.\xff', b''),
    'subjects that are not UTF-8': (b'walnats.dead.\xff.\xfe.\xfd', b''),
    'a subject too short': (b'walnats.dead.EVENT', b''),
    'a subject too long': (b'walnats.dead.EVENT.actor.1.2.3', b''),
    'numbers that are none': (
        b'walnats.dead.EVENT.actor.2-2',
        b'Walnats-Dead-Attempts: NaN\r\nWalnats-Dead-Time: inf\r\nWalnats-Dead-First-Seen: x\r\n',
    ),
    'numbers too large': (
        b'walnats.dead.EVENT.actor.3-3',
        b'Walnats-Dead-Attempts: 1e999\r\nWalnats-Dead-Time: 1e300\r\nWalnats-Dead-Seq: -1\r\n',
    ),
    'bytes': (b'walnats.dead.EVENT.actor.4-4', b'Walnats-Dead-Reason: \xff\xfe\r\n\xff: \xff\r\n'),
    'another actor': (
        b'walnats.dead.EVENT.actor.5-5',
        b'Walnats-Dead-Actor: other\r\nWalnats-Dead-Event: other\r\n',
    ),
    'names with which to talk to the server': (
        b'walnats.dead.EVENT.actor.6-6',
        b'Walnats-Dead-Actor: actor 0\n\nPUB x 0\r\nWalnats-Dead-Event: a b c\r\n',
    ),
    'headers that the server obeys': (
        b'walnats.dead.EVENT.actor.7-7',
        b'Nats-Rollup-X: all\r\nWalnats-Delay: 1e300\r\nWalnats-Reply: $JS.API.X\r\n',
    ),
}


@pytest.mark.parametrize('kind', FORGED)
async def test_a_forged_dead_letter(server: walnats.EmbeddedServer, kind: str) -> None:
    """Whoever may publish there can have a message delivered to that actor, and no more."""
    subject, headers = FORGED[kind]
    nc = await nats.connect(server.url)
    stage = Stage(server.url, nc, 'created')
    other: list[str] = []

    async def note(msg: Any) -> None:
        other.append(msg.subject)

    try:
        async with stage.listening() as (worker, conn):
            await nc.subscribe('walnats.to.>', cb=note)
            forged = Hostile(HANDLED, b'1', block(headers.removesuffix(b'\r\n')), subject)
            await send_raw(stage.url, forged.command(stage.name))
            await send_raw(stage.url, Hostile(DEAD, b'?').command(stage.name))
            await conn.emit(stage.event, 50, sync=True)  # by then the others are stored, too
            await stage.wait_unsettled(0)
            replayed = 0
            async for letter in worker.dead_letters():
                assert (letter.event, letter.actor) == ('created', 'actor')
                assert repr(letter)
                with contextlib.suppress(WalnatsError):
                    await worker.replay(letter)
                    replayed += 1
            await conn.emit_many(stage.event, HONEST)
            await stage.wait_unsettled(0)
            assert replayed >= 1
    finally:
        await nc.close()
    assert stage.handled.pop(1, 0) <= 1
    assert stage.handled == Counter([50, *HONEST])
    assert set(other) <= {'walnats.to.created.actor'}
