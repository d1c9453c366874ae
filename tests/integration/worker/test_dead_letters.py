"""Dead letters: nothing that an actor gives up on is lost, and all of it can be tried again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import nats.js.errors
import pytest

import walnats
from walnats import DeadLetters, Discard, GiveUp, Limits, Retention, Storage
from walnats.errors import (
    DeadLetterNotFoundError,
    DecodeError,
    NotRegisteredError,
    ReplayError,
    StreamFullError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.integration.conftest import Api
    from tests.integration.worker.conftest import Item, Stage

    from walnats.types import ConnectedActors, DeadLetter

STREAM = 'walnats-dead'
SECRET = 'hush-1f83d9'
PATIENCE = 10.0


def giving_up(reason: str = 'no such user') -> Callable[[Item], None]:
    def handler(_: Item) -> None:
        raise GiveUp(reason)

    return handler


@contextlib.asynccontextmanager
async def connect(
    stage: Stage, *actors: walnats.Actor[Any, Any], letters: DeadLetters | None = None
) -> AsyncIterator[ConnectedActors]:
    registry = walnats.Actors(*actors, dead_letters=letters or DeadLetters())
    async with registry.connect(stage.url) as conn:
        await conn.register()
        yield conn


@contextlib.asynccontextmanager
async def listening(conn: ConnectedActors) -> AsyncIterator[None]:
    task = asyncio.create_task(conn.listen())
    try:
        yield
    finally:
        await conn.shutdown(timeout=1)
        await task


async def burst(conn: ConnectedActors) -> None:
    async with asyncio.timeout(20):
        await conn.listen(burst=True, poll_delay=0.3)


async def letters_of(conn: ConnectedActors, actor: Any = None) -> list[DeadLetter]:
    return [letter async for letter in conn.dead_letters(actor)]


async def only(conn: ConnectedActors, actor: Any = None) -> DeadLetter:
    (letter,) = await letters_of(conn, actor)
    return letter


async def die(stage: Stage, conn: ConnectedActors, *numbers: int) -> list[DeadLetter]:
    """Have the actors give up on these messages."""
    await stage.publish(numbers)
    await burst(conn)
    return await letters_of(conn)


async def wait_letters(conn: ConnectedActors, count: int) -> list[DeadLetter]:
    async with asyncio.timeout(PATIENCE):
        while len(found := await letters_of(conn)) != count:
            await asyncio.sleep(0.01)
    return found


def messages(caplog: pytest.LogCaptureFixture, level: int, part: str) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno == level and part in record.getMessage()
    ]


# --- How a message dies ------------------------------------------------------------------


@pytest.mark.parametrize(
    ('error', 'options', 'reason', 'exception'),
    [
        (
            ValueError('x'),
            {'max_attempts': 1},
            'ValueError on attempt 1, the last one',
            'ValueError',
        ),
        (GiveUp('no such user'), {}, 'no such user', 'GiveUp'),
        (GiveUp(''), {}, 'no reason given', 'GiveUp'),
        (GiveUp('Zürich\r\nNats-Rollup: all'), {}, 'Z rich Nats-Rollup: all', 'GiveUp'),
        (GiveUp('\ud800'), {}, 'no reason given', 'GiveUp'),
        (GiveUp('x' * 100_000), {}, 'x' * 500, 'GiveUp'),
        (
            KeyError('x'),
            {'give_up_on': (LookupError,)},
            'KeyError is not worth a retry',
            'KeyError',
        ),
        (SystemExit(3), {'max_attempts': 1}, 'SystemExit on attempt 1, the last one', 'SystemExit'),
    ],
    ids=['last', 'GiveUp', 'empty', 'two lines', 'surrogate', 'long', 'give_up_on', 'SystemExit'],
)
async def test_what_an_actor_gives_up_on_is_a_letter(
    stage: Stage, error: BaseException, options: dict[str, Any], reason: str, exception: str
) -> None:
    def handler(_: Item) -> None:
        raise error

    before = datetime.now(UTC)
    async with connect(stage, stage.actor(handler, **options)) as conn:
        (letter,) = await die(stage, conn, 7)
        await stage.wait_settled()
    assert (letter.event, letter.actor, letter.reason) == (stage.event.name, 'actor', reason)
    assert (letter.exception, letter.attempts, letter.headers) == (exception, 1, None)
    assert (letter.data, letter.message()) == (b'{"n":7}', stage.item(7))
    assert before <= letter.first_seen <= letter.died_at <= datetime.now(UTC)


async def test_the_attempts_of_a_letter_are_those_that_were_made(stage: Stage) -> None:
    def handler(_: Item) -> None:
        raise ValueError

    actor = stage.actor(handler, max_attempts=3, retry_delay=(0,))
    async with connect(stage, actor) as conn, listening(conn):
        await stage.publish(1)
        (letter,) = await wait_letters(conn, 1)
    assert (letter.attempts, letter.reason) == (3, 'ValueError on attempt 3, the last one')


async def test_what_can_not_be_decoded_is_a_letter_and_never_in_a_log(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    payload = json.dumps({'n': SECRET}).encode()
    async with connect(stage, stage.actor(stage.seen())) as conn:
        await stage.publish_raw(payload)
        await burst(conn)
        letter = await only(conn)
        await stage.wait_settled()
        with pytest.raises(DecodeError, match=stage.event.name):
            letter.message()
    assert (letter.data, letter.exception, letter.attempts) == (payload, 'DecodeError', 1)
    assert letter.reason == "it can't be decoded"
    assert SECRET not in repr(letter)
    assert SECRET not in caplog.text
    assert messages(caplog, logging.WARNING, 'it is a dead letter now')


async def test_the_payload_of_a_letter_is_never_in_a_log(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    event = walnats.Event(stage.event.name, str)

    def handler(_: str) -> None:
        raise ValueError('bad')

    async with connect(stage, walnats.Actor('actor', event, handler, max_attempts=1)) as conn:
        await stage.publish_raw(json.dumps(SECRET).encode())
        await burst(conn)
        assert (await only(conn)).message() == SECRET
        await conn.replay(await only(conn))
        await burst(conn)
        await conn.discard(await only(conn))
    assert SECRET not in caplog.text


SUICIDE = """
import asyncio, os, sys
import walnats

EVENT = walnats.Event(sys.argv[1], dict[str, int])

def handle(_: dict[str, int]) -> None:
    print('handled', flush=True)
    os._exit(9)

async def main() -> None:
    actor = walnats.Actor('actor', EVENT, handle, ack_wait=.3, max_attempts=2)
    async with walnats.Actors(actor).connect() as conn:
        await conn.register()
        await conn.listen(burst=True, poll_delay=5)

asyncio.run(main())
"""


async def test_a_message_that_kills_its_process_each_time_dies_unrun(
    stage: Stage, tmp_path: Path
) -> None:
    program = tmp_path / 'suicide.py'
    program.write_text(SUICIDE)
    ends: list[tuple[int | None, bytes]] = []
    async with connect(stage, stage.actor(stage.seen(), ack_wait=0.3, max_attempts=2)) as conn:
        await stage.publish(1)
        while not ends or ends[-1][0] != 0:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, program, stage.event.name),
                env={**os.environ, 'NATS_SERVER': stage.url},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            output, _ = await process.communicate()
            ends.append((process.returncode, output))
            assert len(ends) < 10
        letter = await only(conn)
        await stage.wait_settled()
    assert ends == [(9, b'handled\n')] * 5 + [(0, b'')]  # 2 attempts and 3 more, then none
    assert letter.reason == 'delivered 6 times without any outcome'
    assert (letter.exception, letter.attempts) == (None, 2)


async def test_two_actors_that_give_up_on_one_message_make_two_letters(stage: Stage) -> None:
    one, other = stage.actor(giving_up('I'), 'one'), stage.actor(giving_up('me too'), 'two')
    async with connect(stage, one, other) as conn:
        found = await die(stage, conn, 1)
        assert sorted((each.actor, each.reason) for each in found) == [
            ('one', 'I'),
            ('two', 'me too'),
        ]
        assert len({letter.id for letter in found}) == 2
        await stage.wait_settled('one')
        await stage.wait_settled('two')


async def test_without_dead_letters_it_is_terminated_with_an_error_log(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    registry = walnats.Actors(stage.actor(giving_up()), dead_letters=None)
    async with registry.connect(stage.url) as conn:
        await conn.register()
        await stage.publish(1)
        await burst(conn)
        await stage.wait_settled()
        assert await letters_of(conn) == []
    assert messages(caplog, logging.ERROR, "'actor' gave up on message 1: no such user")


# --- How it is stored --------------------------------------------------------------------


async def test_a_letter_on_the_wire(stage: Stage) -> None:
    headers = {
        'X-Tenant': 'acme',
        'X-Empty': '',
        'traceparent': '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        'Walnats-Trace': 'trace-7',
        'Walnats-Delay': '12.5',
        'walnats-reply': '_INBOX.nobody',
        'Walnats-Reply': '_INBOX.nobody',
        'Nats-Msg-Id': 'uid-7',
        'nats-expected-stream': stage.event.stream_name,
    }
    async with connect(stage, stage.actor(giving_up())) as conn:
        await stage.publish(1)
        ack = await stage.publish_raw(b'{"n":2}', headers)
        before = time.time()
        await burst(conn)
        letter = (await letters_of(conn))[1]
    jetstream = stage.nc.jetstream()
    stored = await jetstream.get_msg(STREAM, letter.seq)
    found = re.fullmatch(
        rf'walnats\.dead\.{stage.event.stream_name}\.actor\.{ack.seq}-(\d+)', stored.subject or ''
    )
    assert found is not None
    assert abs(int(found[1]) / 1e9 - before) < 10
    assert letter.id == (stored.subject or '').removeprefix('walnats.dead.')
    about = dict(stored.headers or {})
    died_at = float(about.pop('Walnats-Dead-Time'))
    first_seen = float(about.pop('Walnats-Dead-First-Seen'))
    assert before <= died_at <= time.time()
    assert first_seen == pytest.approx(int(found[1]) / 1e9)
    assert {name: value for name, value in about.items() if not name.startswith('Nats-')} == {
        'X-Tenant': 'acme',
        'X-Empty': '',
        'traceparent': headers['traceparent'],
        'Walnats-Trace': 'trace-7',
        'Walnats-Dead-Reason': 'no such user',
        'Walnats-Dead-Exception': 'GiveUp',
        'Walnats-Dead-Event': stage.event.name,
        'Walnats-Dead-Actor': 'actor',
        'Walnats-Dead-Attempts': '1',
        'Walnats-Dead-Seq': str(ack.seq),
    }
    assert stored.data == b'{"n":2}'
    assert 'uid-7' not in about.values()
    assert letter.headers == {
        'X-Tenant': 'acme',
        'X-Empty': '',
        'traceparent': headers['traceparent'],
        'Walnats-Trace': 'trace-7',
    }


async def test_headers_that_are_not_ascii_are_kept(stage: Stage) -> None:
    # By hand: nats-py itself sends such values, and others do too.
    headers = {'X-City': 'Zürich', 'X-Emoji': '🎈 and on'}
    seen = stage.seen(giving_up())
    async with connect(stage, stage.actor(seen)) as conn:
        await stage.publish_raw(b'{"n":1}', headers)
        await burst(conn)
        letter = await only(conn)
        assert letter.headers == headers
        await conn.replay(letter)
        await burst(conn)
        assert (await only(conn)).headers == headers
    assert seen.numbers == [1, 1]


async def test_a_big_letter_can_be_browsed(stage: Stage) -> None:
    event = walnats.Event(stage.event.name, bytes)

    def handler(_: bytes) -> None:
        raise GiveUp('too much')

    payload = os.urandom(900_000)
    async with connect(stage, walnats.Actor('actor', event, handler)) as conn:
        await stage.publish_raw(payload)
        await burst(conn)
        assert (await only(conn)).data == payload


async def test_a_message_that_is_settled_twice_makes_one_letter_even_after_the_dedup_window(
    own: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    first_may_end = asyncio.Event()
    runs = 0

    async def handler(_: Item) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            await first_may_end.wait()
        raise GiveUp('twice')

    window = 0.1
    letters = DeadLetters(storage=Storage(retention=Retention.LIMITS, dedup_window=window))
    actor = own.actor(handler, ack_wait=0.3, pulse=False)
    async with connect(own, actor, letters=letters) as conn:
        async with listening(conn):
            await own.publish(1)
            await wait_letters(conn, 1)
            await asyncio.sleep(3 * window)  # the server has no signal for the end of its window
            first_may_end.set()
        assert runs == 2
        assert len(await letters_of(conn)) == 1
        state = (await own.nc.jetstream().stream_info(STREAM)).state
        assert (state.messages, state.last_seq) == (1, 1)
    assert not messages(caplog, logging.ERROR, 'no dead letter')


async def test_a_message_is_taken_off_only_after_its_letter_is_there(stage: Stage) -> None:
    heard: list[str] = []

    async def note(msg: Any) -> None:
        heard.append('letter' if msg.subject.startswith('walnats.dead.') else msg.data.decode())

    stream = stage.event.stream_name
    async with connect(stage, stage.actor(giving_up())) as conn:
        await stage.nc.subscribe(f'walnats.dead.{stream}.>', cb=note)
        await stage.nc.subscribe(f'$JS.ACK.{stream}.actor.>', cb=note)
        await stage.nc.flush()
        await die(stage, conn, 1)
        await stage.nc.flush()
    assert heard == ['letter', '+TERM no such user']


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be stored as a letter is tried again soon."""
    monkeypatch.setattr('walnats._worker.settle._LETTER_DELAY', 0.1)


async def test_without_the_letters_stream_the_message_stays_until_it_is_back(
    own: Stage, api_own: Api, soon: None, caplog: pytest.LogCaptureFixture
) -> None:
    seen = own.seen(giving_up())
    async with connect(own, own.actor(seen)) as conn:
        await api_own.call(f'STREAM.DELETE.{STREAM}')
        async with listening(conn):
            await own.publish(1)
            await wait_error(caplog)
            assert await own.unsettled() == 1
            assert await letters_of(conn) == []
            await conn.register()
            (letter,) = await wait_letters(conn, 1)
            await own.wait_settled()
    assert letter.reason == 'no such user'


async def test_in_a_full_letters_stream_the_message_stays_until_there_is_room(
    own: Stage, soon: None, caplog: pytest.LogCaptureFixture
) -> None:
    letters = DeadLetters(
        limits=Limits(messages=1),
        storage=Storage(retention=Retention.LIMITS, discard=Discard.NEW),
    )
    async with connect(own, own.actor(giving_up(), max_jobs=1), letters=letters) as conn:
        async with listening(conn):
            await own.publish([1])
            (first,) = await wait_letters(conn, 1)
            await own.publish([2])
            await wait_error(caplog)
            assert await own.unsettled() == 1
            await conn.discard(first)
            await own.wait_settled()
        assert (await only(conn)).message() == own.item(2)


async def test_a_letter_that_is_too_big_leaves_the_message_with_the_actor(
    own: Stage, soon: None, caplog: pytest.LogCaptureFixture
) -> None:
    letters = DeadLetters(limits=Limits(message_size=300))
    async with connect(own, own.actor(giving_up()), letters=letters) as conn, listening(conn):
        await own.publish_raw(b'{"n":1}' + b' ' * 300)
        await wait_error(caplog)
        assert await own.unsettled() == 1


async def test_a_letter_over_max_payload_leaves_the_message_and_the_connection(
    stage: Stage, soon: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(stage, stage.actor(giving_up())) as conn, listening(conn):
        payload = b'{"n":1}'
        await stage.publish_raw(payload + b' ' * (stage.nc.max_payload - len(payload) - 10))
        await wait_error(caplog)
        assert await stage.unsettled() == 1
        await stage.publish(2)
        assert (await wait_letters(conn, 1))[0].message() == stage.item(2)


async def test_what_died_is_not_run_again_for_want_of_a_letter(
    own: Stage, api_own: Api, soon: None, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(_: Item) -> None:
        raise ValueError

    seen = own.seen(handler)
    async with connect(own, own.actor(seen, max_attempts=1)) as conn:
        await api_own.call(f'STREAM.DELETE.{STREAM}')
        async with listening(conn):
            await own.publish(1)
            await wait_error(caplog, count=6)
            await conn.register()
            (letter,) = await wait_letters(conn, 1)
    assert seen.numbers == [1]
    assert letter.reason == 'ValueError on attempt 1, the last one'
    assert (letter.exception, letter.attempts) == ('ValueError', 1)


async def wait_error(caplog: pytest.LogCaptureFixture, count: int = 1) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(messages(caplog, logging.ERROR, 'no dead letter is stored')) < count:
            await asyncio.sleep(0.01)


@pytest.fixture
async def api_own(own: Stage, api_of: Any) -> Api:
    api: Api = await api_of(own.url)
    return api


# --- Browsing ----------------------------------------------------------------------------


async def test_letters_are_browsed_from_the_oldest_on(stage: Stage) -> None:
    one = stage.actor(giving_up(), 'one', max_jobs=1)
    other = stage.actor(giving_up(), 'other', max_jobs=1)
    async with connect(stage, one, other) as conn:
        assert await letters_of(conn) == []
        await die(stage, conn, 1, 2, 3)
        assert [each.message().n for each in await letters_of(conn, one)] == [1, 2, 3]
        assert [each.message().n for each in await letters_of(conn, 'other')] == [1, 2, 3]
        found = await letters_of(conn)
    assert [each.seq for each in found] == sorted(each.seq for each in found)
    assert sorted((each.actor, each.message().n) for each in found) == [
        (name, number) for name in ('one', 'other') for number in (1, 2, 3)
    ]


async def test_each_connection_sees_the_letters_of_its_actors(stage: Stage) -> None:
    one, other = stage.actor(giving_up(), 'one'), stage.actor(giving_up(), 'other')
    async with connect(stage, one, other) as conn:
        await die(stage, conn, 1)
    async with connect(stage, one) as conn:
        assert [each.actor for each in await letters_of(conn)] == ['one']


async def test_an_actor_that_is_not_connected_is_refused_at_once(stage: Stage) -> None:
    async with connect(stage, stage.actor(giving_up())) as conn:
        with pytest.raises(NotRegisteredError, match="'nobody'"):
            conn.dead_letters('nobody')
        with pytest.raises(NotRegisteredError, match="'other'"):
            conn.dead_letters(stage.actor(giving_up(), 'other'))


async def test_without_a_letters_stream_there_are_no_letters(own: Stage) -> None:
    registry = walnats.Actors(own.actor(giving_up()), dead_letters=None)
    async with registry.connect(own.url) as conn:
        assert await letters_of(conn) == []


async def test_strangers_on_the_letters_stream_are_put_up_with(own: Stage) -> None:
    async with connect(own, own.actor(giving_up())) as conn:
        await own.nc.jetstream().publish('walnats.dead.x', b'?')
        await own.nc.jetstream().publish(
            f'walnats.dead.{own.event.stream_name}.actor.1-1',
            b'?',
            headers={'Walnats-Dead-Attempts': 'many', 'Walnats-Dead-Time': '1e999'},
        )
        await own.nc.jetstream().publish(f'walnats.dead.{own.event.stream_name}.actor', b'?')
        letter = await only(conn)
    assert (letter.actor, letter.attempts, letter.reason) == ('actor', 0, 'no reason given')


async def test_letters_that_come_while_one_browses_are_for_the_next_time(stage: Stage) -> None:
    async with connect(stage, stage.actor(giving_up())) as conn:
        await die(stage, conn, 1, 2)
        count = 0
        async for letter in conn.dead_letters():
            count += 1
            assert count <= 2
            await conn.replay(letter)
            await burst(conn)
        assert len(await letters_of(conn)) == 2


# --- Replaying and discarding ------------------------------------------------------------


class Once:
    """Gives up on the first delivery of each message, then notes what it is given."""

    def __init__(self) -> None:
        self.died: set[int] = set()
        self.contexts: list[Any] = []
        self.handled: list[int] = []

    def __call__(self, item: Item) -> None:
        if item.n not in self.died:
            self.died.add(item.n)
            raise GiveUp('not now')
        self.handled.append(item.n)

    def on_start(self, ctx: Any) -> None:
        self.contexts.append(ctx)

    def on_success(self, ctx: Any) -> None: ...

    def on_failure(self, ctx: Any) -> None: ...


async def test_a_replay_goes_to_its_own_actor_only_with_fresh_attempts(stage: Stage) -> None:
    once, other = Once(), stage.seen()
    actor = stage.actor(once, middlewares=(once,))
    async with connect(stage, actor, stage.actor(other, 'other')) as conn:
        await stage.publish_raw(
            b'{"n":1}',
            {
                'X-Tenant': 'acme',
                'Walnats-Trace': 'trace-7',
                'Nats-Msg-Id': 'u',
                'Walnats-Delay': '1',
            },
        )
        await burst(conn)
        letter = await only(conn)
        await conn.replay(letter)
        assert await letters_of(conn) == []
        await burst(conn)
        assert await letters_of(conn) == []
        await stage.wait_settled()
        await stage.wait_settled('other')
    assert (once.handled, other.numbers) == ([1], [1])
    context = once.contexts[-1]
    assert (context.attempts, context.metadata.num_delivered, context.trace_id) == (
        1,
        1,
        'trace-7',
    )
    assert {k: v for k, v in context.headers.items() if not k.startswith('Nats-')} == {
        'X-Tenant': 'acme',
        'Walnats-Trace': 'trace-7',
    }
    assert context.headers['Nats-Msg-Id'] != 'u'
    assert context.message == stage.item(1)


async def test_a_replayed_message_that_dies_again_is_a_new_letter(stage: Stage) -> None:
    async with connect(stage, stage.actor(giving_up())) as conn:
        (first,) = await die(stage, conn, 1)
        for _ in range(3):
            letter = await only(conn)
            await conn.replay(letter)
            await burst(conn)
        last = await only(conn)
    assert last.id != first.id
    assert (last.headers, last.data, last.attempts) == (None, first.data, 1)


async def test_a_letter_replayed_by_two_is_delivered_once(stage: Stage) -> None:
    once = Once()
    async with connect(stage, stage.actor(once)) as conn:
        (letter,) = await die(stage, conn, 1)
        results = await asyncio.gather(
            *(conn.replay(letter) for _ in range(5)), return_exceptions=True
        )
        assert all(each is None or isinstance(each, DeadLetterNotFoundError) for each in results)
        assert None in results
        await burst(conn)
    assert once.handled == [1]


async def test_a_letter_that_is_gone_can_be_neither_replayed_nor_discarded(stage: Stage) -> None:
    seen = stage.seen(giving_up())
    async with connect(stage, stage.actor(seen)) as conn:
        (letter,) = await die(stage, conn, 1)
        await conn.discard(letter)
        assert await letters_of(conn) == []
        with pytest.raises(DeadLetterNotFoundError, match=re.escape(letter.id)):
            await conn.discard(letter)
        with pytest.raises(DeadLetterNotFoundError, match=re.escape(letter.id)):
            await conn.replay(letter)
        await burst(conn)
    assert seen.numbers == [1]


async def test_in_a_stream_that_was_made_anew_an_old_letter_is_no_other_one(own: Stage) -> None:
    async with connect(own, own.actor(giving_up())) as conn:
        [old] = await die(own, conn, 1)
        await own.nc.jetstream().delete_stream(STREAM)
        await conn.register()
        [letter] = await die(own, conn, 2)
        assert letter.seq == old.seq
        for deed in conn.discard, conn.replay:
            with pytest.raises(DeadLetterNotFoundError):
                await deed(old)
        assert await only(conn) == letter


async def test_discarding_takes_one_letter(stage: Stage) -> None:
    async with connect(stage, stage.actor(giving_up(), max_jobs=1)) as conn:
        _, second, _ = await die(stage, conn, 1, 2, 3)
        await conn.discard(second)
        assert [each.message().n for each in await letters_of(conn)] == [1, 3]


async def test_a_replay_that_the_stream_does_not_take_is_refused(stage: Stage, api: Api) -> None:
    once = Once()
    async with connect(stage, stage.actor(once)) as conn:
        (letter,) = await die(stage, conn, 1)
        # What an old peer's `register` does.
        config = await api.read_stream(stage.event.stream_name)
        answer = await api.call(
            f'STREAM.UPDATE.{stage.event.stream_name}', {**config, 'subjects': [stage.event.name]}
        )
        assert 'error' not in answer
        with pytest.raises(ReplayError, match='register'):
            await conn.replay(letter)
        assert await only(conn) == letter
        async with walnats.Events(stage.event).connect(conn) as events:
            await events.register()
        await conn.replay(letter)
        await burst(conn)
    assert once.handled == [1]


async def test_a_replay_that_the_consumer_does_not_take_is_refused(stage: Stage, api: Api) -> None:
    once, other = Once(), stage.seen()
    async with connect(stage, stage.actor(once), stage.actor(other, 'other')) as conn:
        (letter,) = await die(stage, conn, 1)
        stream = stage.event.stream_name
        config = await api.read_consumer(stream, 'actor')
        config = {**config, 'filter_subject': stage.event.name}
        config.pop('filter_subjects')
        body = {'stream_name': stream, 'config': config, 'action': 'update'}
        assert 'error' not in await api.call(f'CONSUMER.CREATE.{stream}.actor', body)
        with pytest.raises(ReplayError, match='register'):
            await conn.replay(letter)
        assert await only(conn) == letter
        await conn.register()
        await conn.replay(letter)
        await burst(conn)
    assert once.handled == [1]


async def test_a_replay_to_an_actor_that_is_gone_is_refused(stage: Stage) -> None:
    async with connect(stage, stage.actor(giving_up())) as conn:
        (letter,) = await die(stage, conn, 1)
        await conn.unregister('actor')
        with pytest.raises(ReplayError, match="'actor'"):
            await conn.replay(letter)
        assert await only(conn) == letter


async def test_a_replay_into_a_full_stream_leaves_the_letter(stage: Stage) -> None:
    event = walnats.Event(
        stage.event.name,
        stage.item,
        limits=Limits(messages=1),
        storage=Storage(discard=Discard.NEW),
    )
    idle = walnats.Actor('idle', event, stage.seen())
    async with connect(stage, walnats.Actor('actor', event, giving_up()), idle) as both:
        await stage.publish(1)
        await burst(both)
        (letter,) = await letters_of(both)
        await stage.publish(2)
        with pytest.raises(StreamFullError):
            await both.replay(letter)
        assert letter in await letters_of(both)
        with pytest.raises(nats.js.errors.Error):
            await stage.publish(3)
