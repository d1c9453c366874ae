"""The publisher: sends events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from .._checks import show
from .._cloud_event import CloudEvent
from .._event import BaseEvent
from .._headers import check_id
from .._jetstream import settings, topology
from ..errors import (
    DeclarationError,
    DeclarationTypeError,
    HeaderTypeError,
    NotRegisteredError,
)
from . import bulk
from .emit import FirstEmits, emit_stored, make_uid, own_uid_sequence
from .monitor import monitor
from .outgoing import Outgoing, prepare, prepare_many
from .request import check_request, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from .._event import EventWithResponse
    from .._jetstream.connection import Connection
    from .._jetstream.settings import Change
    from .bulk import EmitSummary
    from .monitor import MonitorQueue

T = TypeVar('T')
R = TypeVar('R')


class ConnectedEvents:
    """Events connected to NATS. `Events.connect` gives one.

    async with events.connect() as conn:
        await conn.register()
        await conn.emit(USER_CREATED, user)
    """

    def __init__(self, connection: Connection, events: Mapping[str, BaseEvent[Any, Any]]) -> None:
        self.connection = connection
        self._events = events
        self.first_emits = FirstEmits(connection)

    async def register(self, *, create: bool = True, update: bool = True) -> None:
        """Create the stream of each event, or bring it to the declared settings.

        Only settings that walnats owns are changed, and only where they differ. Each change is
        logged, old → new.

        :param create: create a stream that doesn't exist.
        :param update: change a stream that exists with other settings.
        :raises StreamExistsError: a stream has other settings and `update` is False; or, in any
            case, it belongs to something else than the event.
        :raises StreamNotFoundError: there is no stream and `create` is False.
        :raises StreamConfigError: the server refuses a setting, or to change it.
        :raises JetStreamDisabledError: the server has no JetStream.
        """
        for event in self._events.values():
            wanted = settings.event_stream(event)
            await topology.register_stream(self.connection, wanted, create=create, update=update)

    async def plan(self) -> list[Change]:
        """Give what `register` would change now, and change nothing."""
        planned = [
            await topology.plan_stream(self.connection, settings.event_stream(event))
            for event in self._events.values()
        ]
        return [change for change in planned if change is not None]

    async def emit(
        self,
        event: BaseEvent[T, Any],
        message: T,
        *,
        uid: str | None = None,
        trace_id: str | None = None,
        delay: float | None = None,
        meta: CloudEvent | dict[str, str] | None = None,
        sync: bool = False,
    ) -> None:
        """Send a message to all actors of the event.

        Without `sync` it returns once the message is on its way. While the connection is lost
        the message waits in the pending queue of the client and is sent later; it is lost if
        the process ends before that.

        :param event: a registered event.
        :param message: the payload, an instance of the event's schema.
        :param uid: an identifier of the message: another one with the same uid is ignored
            within the event's `dedup_window`, 2 minutes by default.
        :param trace_id: identifier of the request for distributed tracing. Inside a job, that
            of the job's message by default.
        :param delay: seconds from now before which no actor handles it.
        :param meta: more headers, or a CloudEvent that becomes headers.
        :param sync: return only once JetStream has stored the message. It is sent again under
            one uid, for up to 30 seconds, until that is so.

        :raises NotRegisteredError: the event isn't one of those that are connected.
        :raises EncodeError: the message isn't what the event's schema says.
        :raises HeaderError: `uid`, `trace_id` or `meta` can't be sent.
        :raises MaxPayloadError: payload and headers are too big. Nothing is sent.
        :raises ConnectionClosedError: the connection is closed for good.
        :raises OutboundBufferLimitError: the connection is lost and the pending queue full.
        :raises NotConfirmedError: with `sync`, no answer came in time. The message may have
            been stored; emitting it again with the `uid` of the error stores it once.
        :raises StreamNotFoundError: with `sync`, the event has no stream.
        :raises StreamFullError: with `sync`, the stream is full and refuses new messages.
        :raises PermissionDeniedError: with `sync`, the NATS user may not emit the event.
        """
        if self._events.get(getattr(event, 'name', ''), self) is not event:
            self._check_registered(event)
        outgoing = prepare(
            event,
            message,
            max_payload=self.connection.nc.max_payload,
            uid=make_uid() if sync and uid is None and not isinstance(meta, CloudEvent) else uid,
            trace_id=trace_id,
            delay=delay,
            meta=meta,
        )
        if sync:
            await emit_stored(self.connection, event, outgoing)
        elif event.name in self.first_emits:
            payload, headers = outgoing
            await self.connection.publish(event.name, payload, headers=headers)
        else:
            await self.first_emits.send(event, outgoing)

    async def emit_many(
        self,
        event: BaseEvent[T, Any],
        messages: Iterable[T] | AsyncIterable[T],
        *,
        uid: Callable[[T], str] | None = None,
        trace_id: str | None = None,
        delay: float | None = None,
        meta: CloudEvent | dict[str, str] | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> EmitSummary:
        """Emit messages as fast as the server stores them, each one acknowledged.

        The messages are taken one by one; about a thousand of them are in memory at a time.
        What gets no answer is sent again under its uid, as with `emit(..., sync=True)`, so
        after an outage the order in the stream may be another one.

        :param messages: an iterable or an async iterable.
        :param uid: a function that gives the uid of a message, always a string.
        :param trace_id: for all messages. So is the trace context of the current span.
        :param delay: seconds for which each message is held back, from when it's taken.
        :param meta: headers for all messages. A CloudEvent goes only with `uid`, because its
            id would be the uid of all.
        :param progress: called with the number of messages acknowledged so far, between two
            messages and at the end.

        :raises EmitManyError: some messages are not stored; it says which and why. The rest
            is stored. After an error that concerns all messages, a missing stream for instance,
            no more of them are taken.
        :raises NotRegisteredError: the event isn't one of those that are connected.
        :raises HeaderError: `trace_id` or `meta` can't be sent.
        :raises ConnectionClosedError: the connection was closed before, no message was taken.

        What `messages` or `progress` raises goes through, with a note that says how many
        messages are stored; those that were taken before are.
        """
        self._check_registered(event)
        bulk.check_arguments(event, messages=messages, uid=uid, progress=progress)
        prepare_under = prepare_many(
            event, self.connection, trace_id=trace_id, delay=delay, meta=meta
        )
        if uid is None and isinstance(meta, CloudEvent):
            raise DeclarationError(
                f"event '{event.name}': a CloudEvent for many messages needs `uid`, "
                'its id would make all but the first a duplicate'
            )
        own_uids = own_uid_sequence()

        def prepare_one(message: T) -> Outgoing:
            if uid is None:
                return prepare_under(message, next(own_uids))
            message_uid = uid(message)
            if message_uid is None:
                # Without one, a repeat of ours would be stored twice.
                raise HeaderTypeError(f"event '{event.name}': `uid` gave None for the message")
            check_id('uid', message_uid)
            return prepare_under(message, message_uid)

        return await bulk.emit_many(
            self.connection,
            event,
            messages,
            prepare=prepare_one,
            progress=progress,
            has_own_uids=uid is None,
        )

    async def request(
        self,
        event: EventWithResponse[T, R],
        message: T,
        *,
        uid: str | None = None,
        trace_id: str | None = None,
        delay: float | None = None,
        meta: CloudEvent | dict[str, str] | None = None,
        timeout: float = 4,
    ) -> R:
        """Emit a message and give the first answer of an actor.

        The arguments are those of `emit`. All actors of the event handle the message; later
        answers are ignored.

        :param timeout: seconds to wait for the answer, `delay` included.
        :raises RequestTimeoutError: nobody answered in time. The message may still be handled.
            An answer that is sent while the connection is lost, is lost too.
        :raises RequestFailedError: an actor gave up on the message, for the `reason` in it.
        :raises DecodeError: the answer isn't what the schema of the response says.
        :raises WalnatsError: the message is not stored, as in `emit` with `sync`.
        """
        self._check_registered(event)
        check_request(event, timeout)

        def prepare_one(reply: str) -> Outgoing:
            return prepare(
                event,
                message,
                max_payload=self.connection.nc.max_payload,
                uid=make_uid() if uid is None and not isinstance(meta, CloudEvent) else uid,
                trace_id=trace_id,
                delay=delay,
                meta=meta,
                reply=reply,
            )

        return await request(self.connection, event, prepare=prepare_one, timeout=timeout)

    def monitor(self, maxsize: int = 10_000) -> AbstractContextManager[MonitorQueue]:
        """Look on: a live feed of the messages of all events, from now on.

            with conn.monitor() as queue:
                while True:
                    print(await queue.get())

        It takes nothing from the actors. When the queue is full the oldest message is dropped,
        which is counted (`queue.dropped`) and logged once. A message that can't be decoded is
        logged and skipped.

        :param maxsize: the most messages in the queue.
        """
        return monitor(self.connection, self._events.values(), maxsize)

    def _check_registered(self, event: BaseEvent[Any, Any]) -> None:
        if not isinstance(event, BaseEvent):  # pyright: ignore[reportUnnecessaryIsInstance] -- input is checked
            raise DeclarationTypeError(f'emit: {show(event)} is not an event')
        registered = self._events.get(event.name)
        if registered is event or registered == event:
            return
        if registered is None:
            names = ', '.join(self._events)
            raise NotRegisteredError(
                f"event '{event.name}' is not one of those connected ({names}): "
                'pass it to `Events(...)`'
            )
        raise NotRegisteredError(
            f"event '{event.name}' is declared otherwise than the one passed to `Events(...)`: "
            'use the same declaration in both places'
        )
