"""What is on the server: streams and consumers with their numbers, whoever made them.

The server gives lists page by page, and each one with the time at which it looked: all ages are
by its clock, not by ours.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from .. import _names
from ..errors import JetStreamError, StreamNotFoundError
from . import api

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from .connection import Connection
    from .settings import Config

T = TypeVar('T')

_AT_ONCE = 16
# Past any page: the answer has the total and no names.
_PAST_THE_END = 2**31


class StreamState(msgspec.Struct):
    """The numbers of a stream."""

    messages: int
    bytes: int
    first_ts: datetime
    consumer_count: int


class Stream(msgspec.Struct):
    """A stream, as the server describes it."""

    config: dict[str, Any]
    state: StreamState
    ts: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))
    """When the server looked."""

    @property
    def name(self) -> str:
        """The name of the stream."""
        name: str = self.config['name']
        return name

    @property
    def event(self) -> str | None:
        """The name of the event that it keeps, None if it isn't one that walnats registered."""
        return event_of(self.config)

    @property
    def oldest(self) -> float | None:
        """The age of its oldest message in seconds, None if it's empty."""
        if not self.state.messages:
            return None
        return (self.ts - self.state.first_ts).total_seconds()

    @property
    def keeps_nothing(self) -> bool:
        """If what is emitted is acknowledged and not kept: there is no consumer that wants it."""
        return self.config.get('retention') == 'interest' and not self.state.consumer_count


class Progress(msgspec.Struct):
    """How far a consumer has come."""

    last_active: datetime | None = None
    """When it last did. The server forgets it when it's restarted."""


class Consumer(msgspec.Struct):
    """A consumer, as the server describes it."""

    stream_name: str
    name: str
    created: datetime
    config: dict[str, Any]
    delivered: Progress
    ack_floor: Progress
    num_pending: int
    """Messages that were never delivered."""
    num_ack_pending: int
    """Messages that were delivered and aren't settled."""
    num_redelivered: int
    num_waiting: int
    """Open requests for messages."""
    ts: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))
    """When the server looked."""

    @property
    def idle(self) -> float:
        """Seconds in which, as far as the server knows, nobody has got or settled a message.

        It doesn't tell when somebody last asked for one in vain.
        """
        known = (self.created, self.delivered.last_active, self.ack_floor.last_active)
        return (self.ts - max(each for each in known if each is not None)).total_seconds()

    def is_orphan(self, after: float) -> bool:
        """If nobody asks for messages now, nor has got one for so many seconds."""
        is_pulled = not self.config.get('deliver_subject')
        return is_pulled and not self.num_waiting and self.idle > after


class _Page(msgspec.Struct):
    """What matters of any page of a list."""

    streams: list[Stream] | None = None
    consumers: list[Consumer] | None = None
    missing: list[str] | None = None
    total: int = 0
    offset: int = 0
    limit: int = 0
    error: api.ApiError | None = None


class _Info(msgspec.Struct):
    config: dict[str, Any] = {}
    state: StreamState | None = None
    error: api.ApiError | None = None


class _Count(msgspec.Struct):
    total: int = 0
    error: api.ApiError | None = None


class Survey(msgspec.Struct):
    """All streams, and the consumers and dead letters of those that were asked for."""

    streams: list[Stream]
    consumers: list[Consumer]
    letters: dict[tuple[str, str], int]
    """How many dead letters there are, by stream and consumer."""
    missing: list[str]
    """Streams, and consumers as STREAM.CONSUMER, of which the servers of a cluster told nothing."""


async def survey(connection: Connection, *, foreign: bool = False) -> Survey:
    """Look at all streams and consumers of walnats; with `foreign`, at all there are."""
    streams, missing = await list_streams(connection)
    if not foreign:
        streams = [each for each in streams if each.event or each.name == _names.DEAD_STREAM]
    lists = await _together(_consumers_of(connection, each) for each in streams)
    consumers = [each for found, _ in lists for each in found]
    missing += [name for _, more in lists for name in more]
    letters: dict[tuple[str, str], int] = {}
    if any(each.name == _names.DEAD_STREAM and each.state.messages for each in streams):
        keys = [(each.stream_name, each.name) for each in consumers]
        counts = await _together(count_letters(connection, *key) for key in keys)
        letters = dict(zip(keys, counts, strict=True))
    return Survey(streams, consumers, letters, missing)


async def read_stream(connection: Connection, name: str) -> Stream | None:
    """Look at one stream, None if there is no such stream."""
    info = await api.call_for(_Info, connection, f'STREAM.INFO.{name}')
    if info.error is not None and info.error.err_code == api.STREAM_NOT_FOUND:
        return None
    _raise_if(info.error, name)
    return None if info.state is None else Stream(info.config, info.state)


async def read_consumer(connection: Connection, stream: str, name: str) -> Consumer | None:
    """Look at one consumer, None if there is no such consumer.

    :raises StreamNotFoundError: there is no such stream.
    """
    consumers, missing = await list_consumers(connection, stream)
    if f'{stream}.{name}' in missing:
        raise JetStreamError(f"no server of the cluster tells about '{stream}.{name}': try again")
    return next((each for each in consumers if each.name == name), None)


async def list_streams(connection: Connection) -> tuple[list[Stream], list[str]]:
    """Give all streams of the account by name, and the names of those that didn't answer."""
    pages = await _pages(connection, 'STREAM.LIST')
    found = {each.name: each for page in pages for each in page.streams or ()}
    return [found[name] for name in sorted(found)], _missing(pages)


async def list_consumers(connection: Connection, stream: str) -> tuple[list[Consumer], list[str]]:
    """Give all consumers of a stream by name, and the names of those that didn't answer."""
    pages = await _pages(connection, f'CONSUMER.LIST.{stream}')
    found = {each.name: each for page in pages for each in page.consumers or ()}
    missing = [f'{stream}.{name}' for name in _missing(pages)]
    return [found[name] for name in sorted(found)], missing


async def count_letters(connection: Connection, stream: str, consumer: str) -> int:
    """Give the number of dead letters of an actor: each one has a subject of its own."""
    body = {
        'subjects_filter': _names.dead_subject(stream, consumer, '*'),
        'offset': _PAST_THE_END,
    }
    method = f'STREAM.INFO.{_names.DEAD_STREAM}'
    answer = await api.call_for(_Count, connection, method, body)
    _raise_if(answer.error, 'dead letters')
    return answer.total


def event_of(config: Config) -> str | None:
    """Give the name of the event whose stream has these settings, None if it's none of walnats.

    It is told by the subjects for what is meant for one actor alone: nobody else has them.
    """
    name, subjects = config['name'], config.get('subjects') or []
    if _names.actor_subject(name, '*') not in subjects:
        return None
    return next((each for each in subjects if _names.stream_name(each) == name), None)


async def _consumers_of(connection: Connection, stream: Stream) -> tuple[list[Consumer], list[str]]:
    try:
        return await list_consumers(connection, stream.name)
    except StreamNotFoundError:  # it was removed since
        return [], []


async def _pages(connection: Connection, method: str) -> list[_Page]:
    pages: list[_Page] = []
    offset = 0
    while True:
        page = await api.call_for(_Page, connection, method, {'offset': offset})
        _raise_if(page.error, method.rpartition('.')[2])
        pages.append(page)
        offset += page.limit
        if not page.limit or offset >= page.total:
            return pages


def _missing(pages: list[_Page]) -> list[str]:
    return sorted({name for page in pages for name in page.missing or ()})


async def _together(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Await all of them, a few at a time."""
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(call: Awaitable[T]) -> T:
        async with free:
            return await call

    tasks = [asyncio.create_task(one(call)) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _raise_if(error: api.ApiError | None, what: str) -> None:
    if error is None:
        return
    kind = StreamNotFoundError if error.err_code == api.STREAM_NOT_FOUND else JetStreamError
    raise kind(
        f"'{what}' can't be read: {error.description} (error {error.err_code})",
        code=error.code,
        err_code=error.err_code,
        description=error.description,
    )
