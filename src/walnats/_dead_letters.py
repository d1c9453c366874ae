"""Dead letters: the messages that actors gave up on. Stored, browsed, replayed, discarded.

A letter is stored on a subject of its own, made of what never changes about a message and
its actor, and only if there is none on it: so there is one letter, however often it's sent.
"""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from . import _headers, _names
from ._jetstream import api, settings
from ._jetstream.publish import store
from .errors import (
    DeadLetterNotFoundError,
    JetStreamError,
    MaxPayloadError,
    NotRegisteredError,
    ReplayError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ._actor import Actor
    from ._event import BaseEvent
    from ._jetstream.connection import Connection
    from ._jetstream.delivery import Delivery

_PREFIX = 'Walnats-Dead-'
_REASON = _PREFIX + 'Reason'
_EXCEPTION = _PREFIX + 'Exception'
_EVENT = _PREFIX + 'Event'
_ACTOR = _PREFIX + 'Actor'
_ATTEMPTS = _PREFIX + 'Attempts'
_SEQ = _PREFIX + 'Seq'
_FIRST_SEEN = _PREFIX + 'First-Seen'
_TIME = _PREFIX + 'Time'
# walnats.dead.STREAM.CONSUMER.ID
_TOKENS = 5
_ONLY_IF_NEW = {'Nats-Expected-Last-Subject-Sequence': '0'}


@dataclass(frozen=True)
class DeadLetter:
    """A message that an actor gave up on. `ConnectedActors.dead_letters` gives them."""

    id: str
    """What tells it from all others: stream, actor, place in the stream and time."""
    event: str
    """The name of the event."""
    actor: str
    """The name of the actor."""
    reason: str
    """Why the actor gave up, in words."""
    exception: str | None
    """The type of the exception that was the end, if there was one."""
    attempts: int
    """How often the message was tried."""
    first_seen: datetime
    """When the message was emitted."""
    died_at: datetime
    """When the actor gave up."""
    headers: dict[str, str] | None
    """The headers of the message."""
    data: bytes = field(repr=False)
    """The payload."""
    seq: int = field(repr=False)
    """The place of the letter in its stream."""
    _declared: BaseEvent[Any, Any] | None = field(repr=False, compare=False)

    def message(self) -> Any:
        """Decode the payload.

        :raises DecodeError: it isn't what the schema of the event says.
        :raises NotRegisteredError: the event isn't one of those that are connected.
        """
        if self._declared is None:
            raise NotRegisteredError(
                f"event '{self.event}' is not one of those connected: it can't be decoded"
            )
        return self._declared.decode(self.data)


async def store_letter(
    connection: Connection,
    actor: Actor[Any, Any],
    delivery: Delivery,
    *,
    reason: str,
    exception: BaseException | None,
    attempts: int,
) -> None:
    """Store the message as a dead letter, unless it's one already.

    :raises WalnatsError: it isn't stored, or isn't known to be.
    """
    letter_id = f'{delivery.seq}-{delivery.timestamp_ns}'
    subject = _names.dead_subject(actor.event.stream_name, actor.consumer_name, letter_id)
    about = {
        _REASON: _headers.as_value(reason),
        _EVENT: actor.event.name,
        _ACTOR: actor.name,
        _ATTEMPTS: str(attempts),
        _SEQ: str(delivery.seq),
        _FIRST_SEEN: str(delivery.timestamp_ns / 1e9),
        _TIME: str(time.time()),
        _headers.MSG_ID: subject,
        **_ONLY_IF_NEW,
    }
    if exception is not None:
        about[_EXCEPTION] = _headers.as_value(type(exception).__name__)
    headers = {**_fitting(_of_message(delivery.headers), about), **about}
    _check_size(connection, subject, delivery.data, headers)
    try:
        await store(connection, subject, delivery.data, headers, stream=_names.DEAD_STREAM)
    except JetStreamError as exc:
        if exc.err_code != api.WRONG_LAST_SEQUENCE:
            raise


async def browse(
    connection: Connection, actors: list[Actor[Any, Any]]
) -> AsyncIterator[DeadLetter]:
    """Give the letters of the actors, one by one as they're asked for, the oldest first."""
    wanted = {(actor.event.stream_name, actor.consumer_name): actor for actor in actors}
    # The server skips the letters of others, where it can be told which.
    one = next(iter(wanted)) if len(wanted) == 1 else ('*', '*')
    async for stored in _stored(connection, *one):
        actor = wanted.get(_read_address(stored.subject))
        if actor is not None:
            yield _read(stored, actor.event)


async def browse_all(
    connection: Connection, event: str | None = None, actor: str | None = None
) -> AsyncIterator[DeadLetter]:
    """Give the letters of whatever events and actors, like `browse`; they can't be decoded.

    :param event: the name of one event.
    :param actor: the name of one actor, or of several that share it.
    """
    stream = '*' if event is None else _names.stream_name(event)
    async for stored in _stored(connection, stream, actor or '*'):
        yield _read(stored, None)


async def find(connection: Connection, seq: int) -> DeadLetter | None:
    """Give the letter with that place in the stream, None if it isn't there; like `browse_all`."""
    stored = await _find(connection, {'seq': seq})
    if stored is None or not any(_read_address(stored.subject)):
        return None
    return _read(stored, None)


async def replay(connection: Connection, letter: DeadLetter) -> None:
    """Deliver the message again to its own actor, and remove the letter once it's stored.

    :raises ReplayError: the actor wouldn't get it.
    :raises DeadLetterNotFoundError: the letter isn't there any more.
    :raises WalnatsError: it isn't stored; the letter stays.
    """
    stream, consumer = _names.stream_name(letter.event), letter.actor
    subject = _names.actor_subject(stream, consumer)
    await _check_there(connection, letter)
    await _check_path(connection, stream, consumer, subject)
    headers = {**_of_message(letter.headers), _headers.MSG_ID: f'replay-{letter.seq}-{letter.id}'}
    await store(connection, subject, letter.data, headers, stream=stream)
    with contextlib.suppress(DeadLetterNotFoundError):
        await _remove(connection, letter)


async def discard(connection: Connection, letter: DeadLetter) -> None:
    """Remove the letter.

    :raises DeadLetterNotFoundError: it isn't there any more.
    """
    await _check_there(connection, letter)
    await _remove(connection, letter)


def _of_message(headers: dict[str, str] | None) -> dict[str, str]:
    """Give the headers of the message itself, without those of its life as a letter."""
    kept = _headers.republished_headers(headers)
    return {name: value for name, value in kept.items() if not name.startswith(_PREFIX)}


def _fitting(headers: dict[str, str], about: dict[str, str]) -> dict[str, str]:
    """Leave out the longest headers, where JetStream doesn't take all of them with ours.

    Else the message would stay with the actor for ever, and many of them would stop it.
    """
    excess = _headers.headers_size({**headers, **about}) - _headers.MAX_SIZE
    sizes = {name: _headers.headers_size({name: value}) for name, value in headers.items()}
    kept = dict(headers)
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if excess <= 0:
            break
        excess -= sizes[name] - _headers.headers_size({})
        del kept[name]
    return kept


def _check_size(connection: Connection, subject: str, data: bytes, headers: dict[str, str]) -> None:
    size = len(data) + _headers.headers_size(headers)
    if size > connection.nc.max_payload:
        raise MaxPayloadError(
            f"'{subject}': the dead letter has {size} bytes with its headers, the server takes "
            f'{connection.nc.max_payload}; raise `max_payload` of the server'
        )


async def _stored(
    connection: Connection, stream: str, consumer: str
) -> AsyncIterator[api.StoredMessage]:
    """Give the letters that are there now, as they are stored; `*` is any stream or consumer."""
    pattern = _names.dead_subject(stream, consumer, '*')
    last = await _find(connection, {'last_by_subj': pattern})
    seq = 0
    # What comes from now on is for the next time: a letter that is replayed here may be back.
    while last is not None and seq < last.seq:
        stored = await _find(connection, {'seq': seq + 1, 'next_by_subj': pattern})
        if stored is None or stored.seq > last.seq:
            return
        seq = stored.seq
        yield stored


async def _find(connection: Connection, which: dict[str, Any]) -> api.StoredMessage | None:
    """Give the letter of the stream that is asked for, None if there is none."""
    answer = await api.call(connection, f'STREAM.MSG.GET.{_names.DEAD_STREAM}', which)
    if answer.message is None:
        _raise_unless(answer, (*api.MESSAGE_NOT_FOUND, api.STREAM_NOT_FOUND), 'read')
    return answer.message


def _read_address(subject: str) -> tuple[str, str]:
    """Give stream and consumer; empty ones for a message that is no letter."""
    tokens = subject.split('.')
    return (tokens[2], tokens[3]) if len(tokens) == _TOKENS else ('', '')


def _read(stored: api.StoredMessage, event: BaseEvent[Any, Any] | None) -> DeadLetter:
    headers = _parse_headers(stored.hdrs)
    stream, consumer, place = stored.subject.split('.')[2:]
    return DeadLetter(
        id=f'{stream}.{consumer}.{place}',
        event=_event_name(headers, stream) if event is None else event.name,
        actor=consumer,
        reason=headers.get(_REASON, 'no reason given'),
        exception=headers.get(_EXCEPTION),
        attempts=int(_number(headers.get(_ATTEMPTS))),
        first_seen=_moment(headers.get(_FIRST_SEEN)),
        died_at=_moment(headers.get(_TIME)),
        headers=_of_message(headers) or None,
        data=stored.data,
        seq=stored.seq,
        _declared=event,
    )


def _event_name(headers: dict[str, str], stream: str) -> str:
    """Give the name that the letter tells, if it can be so: a replay goes there."""
    name = headers.get(_EVENT, stream)
    return name if _names.stream_name(name) == stream else stream


def _parse_headers(raw: bytes) -> dict[str, str]:
    """Read a block of headers: the line `NATS/1.0`, then `name: value` per line."""
    lines = raw.decode('utf-8', 'replace').split('\r\n')[1:]
    pairs = (line.partition(':') for line in lines if line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _number(text: str | None) -> float:
    """Give the number; 0 for what a stranger wrote there."""
    try:
        number = float(text or 0)
    except ValueError:
        return 0
    return number if math.isfinite(number) else 0


def _moment(text: str | None) -> datetime:
    try:
        return datetime.fromtimestamp(_number(text), UTC)
    except (OverflowError, ValueError):
        return datetime.fromtimestamp(0, UTC)


async def _check_there(connection: Connection, letter: DeadLetter) -> None:
    stored = await _find(connection, {'seq': letter.seq})
    # In a stream that was made anew, another letter may have its place.
    if stored is None or stored.subject != _names.dead_subject(*letter.id.split('.')):
        raise _not_found(letter)


async def _remove(connection: Connection, letter: DeadLetter) -> None:
    body = {'seq': letter.seq, 'no_erase': True}
    answer = await api.call(connection, f'STREAM.MSG.DELETE.{_names.DEAD_STREAM}', body)
    if answer.error is None:
        return
    if answer.error.err_code in (*api.MESSAGE_NOT_FOUND, api.STREAM_NOT_FOUND):
        raise _not_found(letter)
    _raise_unless(answer, (), 'removed')


def _not_found(letter: DeadLetter) -> DeadLetterNotFoundError:
    return DeadLetterNotFoundError(f"dead letter '{letter.id}' is not there any more")


async def _check_path(connection: Connection, stream: str, consumer: str, subject: str) -> None:
    """Raise unless what is sent to the subject is stored, and given to that actor alone."""
    found = await api.call(connection, f'STREAM.INFO.{stream}')
    problem = f"stream '{stream}' doesn't take '{subject}'"
    if found.error is None and settings.takes(found.config.get('subjects', []), subject):
        found = await api.call(connection, f'CONSUMER.INFO.{stream}.{consumer}')
        problem = f"the consumer of actor '{consumer}' doesn't take '{subject}'"
        if found.error is None and settings.takes(_filters(found.config), subject):
            return
    raise ReplayError(
        f'a replay would be lost: {problem}; call `register` of the actors and events'
    )


def _filters(consumer: dict[str, Any]) -> list[str]:
    single = [consumer['filter_subject']] if consumer.get('filter_subject') else []
    return consumer.get('filter_subjects') or single or ['>']


def _raise_unless(answer: api.Answer, known: tuple[int, ...], done: str) -> None:
    error = answer.error
    if error is not None and error.err_code not in known:
        raise JetStreamError(
            f"dead letters can't be {done}: {error.description} (error {error.err_code})",
            code=error.code,
            err_code=error.err_code,
            description=error.description,
        )
