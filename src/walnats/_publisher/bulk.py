"""Emitting many messages: pipelined, each one acknowledged, in bounded memory.

Messages are sent without waiting, up to a window that is unanswered. A message that gets no
good answer, because of an outage for instance, is sent again under its uid by the same code
that sends a single one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from .._handlers import is_async
from .._jetstream.publish import (
    UNAVAILABLE,
    PubAck,
    not_confirmed,
    read_ack,
    refusal,
    store,
    unanswered,
)
from ..errors import (
    ConnectionClosedError,
    DeclarationTypeError,
    EmitManyError,
    FailedMessage,
    JetStreamDisabledError,
    JetStreamError,
    NotConfirmedError,
    OutboundBufferLimitError,
    PermissionDeniedError,
    StreamNotFoundError,
    WalnatsError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._event import BaseEvent
    from .._jetstream.connection import Connection
    from .._jetstream.inbox import Answer
    from .outgoing import Outgoing

# Messages, and bytes of payload, that are unanswered at most.
_WINDOW = 1024
_WINDOW_BYTES = 8 * 1024 * 1024
_FLUSH_EVERY = 128
_ANSWER_TIMEOUT = 5.0
_RESCUERS = 64
# The message was not sent. If it had been sent before, that one may be stored.
_UNSENT = (ConnectionClosedError, OutboundBufferLimitError, PermissionDeniedError)
_FATAL = (*_UNSENT, JetStreamDisabledError, NotConfirmedError, StreamNotFoundError)


@dataclass(frozen=True, slots=True)
class EmitSummary:
    """How many messages `emit_many` emitted."""

    stored: int
    """Messages that are new in the stream."""
    duplicates: int
    """Messages whose uid the stream knew already."""


async def emit_many(
    connection: Connection,
    event: BaseEvent[Any, Any],
    messages: Iterable[Any] | AsyncIterable[Any],
    *,
    prepare: Callable[[Any], Outgoing],
    progress: Callable[[int], object] | None,
    has_own_uids: bool,
) -> EmitSummary:
    """See `ConnectedEvents.emit_many`.

    :param prepare: makes a message ready to be sent, under a uid.
    :param has_own_uids: the uids are not the user's: a duplicate is our own repeat.
    """
    if connection.nc.is_closed:
        raise ConnectionClosedError(
            f"event '{event.name}': the connection to NATS is closed, no message was taken"
        )
    await connection.inbox.open(event.name)
    bulk = _Bulk(connection, event, progress, has_own_uids=has_own_uids)
    undo = connection.on_reconnect(bulk.rescue_all)
    try:
        await bulk.send_all(messages, prepare)
        await bulk.finish()
    except Exception as exc:
        # It comes from `messages` or from `progress`: what was sent is not abandoned.
        bulk.stop_reporting()
        await bulk.finish()
        exc.add_note(bulk.describe())
        raise
    finally:
        undo()
        await bulk.close()
    return bulk.result()


def check_arguments(
    event: BaseEvent[Any, Any], *, messages: object, uid: object, progress: object
) -> None:
    """Raise DeclarationTypeError for what can't be used."""
    if isinstance(messages, (str, bytes)) or not isinstance(messages, (Iterable, AsyncIterable)):
        raise DeclarationTypeError(
            f"event '{event.name}': messages must be an iterable or an async iterable of messages, "
            f'not one {type(messages).__name__}'
        )
    for name, function in (('uid', uid), ('progress', progress)):
        if function is not None and (not callable(function) or is_async(function)):
            raise DeclarationTypeError(
                f"event '{event.name}': {name} must be a function, and not an async one"
            )


class _Sent(msgspec.Struct):
    """A message that is neither stored nor failed yet."""

    index: int
    message: Any
    outgoing: Outgoing
    reply: str
    at: float


class _Bulk:
    def __init__(
        self,
        connection: Connection,
        event: BaseEvent[Any, Any],
        progress: Callable[[int], object] | None,
        *,
        has_own_uids: bool,
    ) -> None:
        self._connection = connection
        self._event = event
        self._progress = progress
        self._has_own_uids = has_own_uids
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        # All that is unfinished, and, of it, what is waiting for an answer or for a rescuer.
        self._unfinished = 0
        self._bytes = 0
        self._taken = 0
        self._in_flight: dict[int, _Sent] = {}
        self._to_rescue: deque[tuple[_Sent, WalnatsError]] = deque()
        self._rescuers: set[asyncio.Task[None]] = set()
        self._fatal: Exception | None = None
        self._failed: list[FailedMessage] = []
        self._stored = 0
        self._duplicates = 0
        self._reported = 0

    async def send_all(
        self, messages: Iterable[Any] | AsyncIterable[Any], prepare: Callable[[Any], Outgoing]
    ) -> None:
        """Send the messages as they come, until the end or an error that concerns them all."""
        if isinstance(messages, AsyncIterable):
            async for message in messages:
                await self._send(message, prepare)
                if self._fatal is not None:
                    return
        else:
            for message in messages:
                await self._send(message, prepare)
                if self._fatal is not None:
                    return

    async def finish(self) -> None:
        """Wait until each message is stored or failed."""
        while self._unfinished:
            await self._wait()
        self._report()

    def stop_reporting(self) -> None:
        """Don't call `progress` any more."""
        self._progress = None

    async def close(self) -> None:
        """Let go of what is still under way, after a cancellation."""
        for sent in self._in_flight.values():
            self._connection.inbox.forget(sent.reply)
        for task in self._rescuers:
            task.cancel()
        if self._rescuers:
            await asyncio.wait(self._rescuers)

    def result(self) -> EmitSummary:
        """Give the summary, or raise what failed."""
        summary = EmitSummary(self._stored, self._duplicates)
        if not self._failed:
            return summary
        self._failed.sort(key=lambda failed: failed.index)
        first = self._failed[0]
        text = f'{self.describe()}, the first at index {first.index}: {first.error}'
        if self._fatal is not None:
            text = f'{self.describe()}, no more were taken: {self._fatal}'
        raise EmitManyError(text, failed=self._failed, summary=summary)

    def describe(self) -> str:
        """Say in short what became of the messages."""
        stored = self._stored + self._duplicates
        return f"event '{self._event.name}': messages stored: {stored}, failed: {len(self._failed)}"

    def rescue_all(self) -> None:
        """Send again what was on its way when the connection was lost."""
        for sent in tuple(self._in_flight.values()):
            self._rescue(sent, self._no_answer(sent, 'the connection was lost before the answer'))

    async def _send(self, message: Any, prepare: Callable[[Any], Outgoing]) -> None:
        index = self._taken
        self._taken += 1
        if self._taken % _FLUSH_EVERY == 0:
            # What was sent so far goes out, and the server has something to do.
            await asyncio.sleep(0)
        try:
            outgoing = prepare(message)
        except Exception as exc:  # noqa: BLE001 -- the user's uid function may raise anything
            self._failed.append(FailedMessage(index, message, exc))
            await asyncio.sleep(0)  # where all fail, nothing else would let others run
            return
        payload, headers = outgoing
        if self._unfinished >= _WINDOW or self._bytes >= _WINDOW_BYTES:
            await self._wait_for_room()
        if self._fatal is not None:
            self._failed.append(FailedMessage(index, message, self._why_unsent(self._fatal)))
            return
        reply = self._connection.inbox.expect(self._event.name, partial(self._receive, index))
        sent = _Sent(index, message, outgoing, reply, time.monotonic())
        self._in_flight[index] = sent
        self._unfinished += 1
        self._bytes += len(payload)
        name = self._event.name
        try:
            if not self._connection.post(name, payload, reply, headers):
                await self._connection.publish(name, payload, reply=reply, headers=headers)
        except OutboundBufferLimitError as exc:
            self._rescue(sent, exc)
        except WalnatsError as exc:
            self._take_back(sent)
            self._fail(sent, exc)
        if self._progress is not None:
            self._report()

    async def _wait_for_room(self) -> None:
        """Wait until half of the window is free."""
        while self._unfinished > _WINDOW // 2 or self._bytes > _WINDOW_BYTES // 2:
            await self._wait()

    async def _wait(self) -> None:
        """Wait for a change, or until the oldest message is without an answer for too long."""
        self._changed.clear()
        timer = self._loop.call_later(_ANSWER_TIMEOUT, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            timer.cancel()
        self._rescue_late()
        self._report()

    def _report(self) -> None:
        count = self._stored + self._duplicates
        if self._progress is not None and count != self._reported:
            self._reported = count
            self._progress(count)

    def _receive(self, index: int, answer: Answer) -> None:
        sent = self._in_flight[index]
        if isinstance(answer, WalnatsError):
            del self._in_flight[index]
            self._fail(sent, unanswered(self._event.name, sent.outgoing[1], answer))
            return
        ack = read_ack(answer)
        if ack.error is None:
            del self._in_flight[index]
            self._succeed(sent, ack)
        else:
            event, headers = self._event, sent.outgoing[1]
            self._rescue(sent, refusal(event.name, event.stream_name, headers, ack.error))

    def _take_back(self, sent: _Sent) -> None:
        """Don't wait for an answer to the message any more."""
        del self._in_flight[sent.index]
        self._connection.inbox.forget(sent.reply)

    def _succeed(self, sent: _Sent, ack: PubAck) -> None:
        if ack.duplicate and not self._has_own_uids:
            self._duplicates += 1
        else:
            self._stored += 1
        self._finish(sent)

    def _fail(self, sent: _Sent, error: Exception) -> None:
        self._failed.append(FailedMessage(sent.index, sent.message, error))
        if self._fatal is None and _concerns_all(error):
            self._fatal = error
        self._finish(sent)

    def _finish(self, sent: _Sent) -> None:
        self._unfinished -= 1
        self._bytes -= len(sent.outgoing[0])
        if self._unfinished <= _WINDOW // 2:
            self._changed.set()

    def _rescue_late(self) -> None:
        oldest = time.monotonic() - _ANSWER_TIMEOUT
        for sent in tuple(self._in_flight.values()):
            if sent.at > oldest:
                return
            self._rescue(sent, self._no_answer(sent, f'no answer within {_ANSWER_TIMEOUT:g} s'))

    def _rescue(self, sent: _Sent, why: WalnatsError) -> None:
        """Have the message sent again, by one of a few tasks that do that.

        :param why: what is true of it until that is done.
        """
        self._take_back(sent)
        self._to_rescue.append((sent, why))
        if len(self._rescuers) < _RESCUERS:
            self._rescuers.add(self._loop.create_task(self._run_rescuer()))

    async def _run_rescuer(self) -> None:
        try:
            while self._to_rescue:
                await self._send_again(*self._to_rescue.popleft())
        finally:
            # Not in a callback: until that ran, what is to be rescued would wait for a dead task.
            self._rescuers -= {asyncio.current_task()}

    async def _send_again(self, sent: _Sent, why: WalnatsError) -> None:
        if self._fatal is not None:
            is_unknown = isinstance(why, NotConfirmedError)
            self._fail(sent, why if is_unknown else self._why_unsent(self._fatal))
            return
        name, stream, (payload, headers) = self._event.name, self._event.stream_name, sent.outgoing
        try:
            ack = await store(self._connection, name, payload, headers or {}, stream=stream)
        except _UNSENT as exc:
            self._fail(sent, why if isinstance(why, NotConfirmedError) else exc)
        except Exception as exc:  # noqa: BLE001 -- whatever it is, the message has failed
            self._fail(sent, exc)
        else:
            self._succeed(sent, ack)

    def _why_unsent(self, fatal: Exception) -> Exception:
        """Give the error for a message that is not sent, because of one that failed."""
        if isinstance(fatal, NotConfirmedError):
            # It's about that message, and names its uid.
            return WalnatsError(f"event '{self._event.name}': not sent, because: {fatal}")
        return fatal

    def _no_answer(self, sent: _Sent, reason: str) -> NotConfirmedError:
        return not_confirmed(self._event.name, sent.outgoing[1], reason)


def _concerns_all(error: Exception) -> bool:
    """If it is pointless to try the other messages."""
    # What comes out of `store` as unavailable was so until the deadline.
    is_unavailable = type(error) is JetStreamError and error.code == UNAVAILABLE
    return is_unavailable or isinstance(error, _FATAL)
