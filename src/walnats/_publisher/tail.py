"""A live feed of messages as they are on the wire, of events that needn't be known."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Self

from .._jetstream import survey
from .._jetstream.settings import takes
from .._jetstream.watch import watch
from ..errors import PermissionDeniedError, WalnatsError
from .monitor import MonitorQueue

if TYPE_CHECKING:
    from .._jetstream.client import Message
    from .._jetstream.connection import Connection

# The server tells there of each stream that is created; its name is the last part.
_CREATED = '$JS.EVENT.ADVISORY.STREAM.CREATED.>'


class Tail:
    """The messages of some events, from now on. When too many wait, the oldest are dropped.

    :param maxsize: the most messages that wait.
    """

    def __init__(self, connection: Connection, maxsize: int) -> None:
        self._connection = connection
        self._queue = MonitorQueue(maxsize)
        self._watches = contextlib.ExitStack()
        self.subjects: list[str] = []
        """What is watched."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._watches.close()

    @property
    def dropped(self) -> int:
        """How many messages were dropped."""
        return self._queue.dropped

    async def watch(self, *subjects: str) -> None:
        """Take what is emitted to these subjects, which may have wildcards."""
        for subject in subjects:
            self._watch(subject)
        await self._connection.flush()

    async def watch_all(self) -> None:
        """Take what is emitted to all events, those too that will be registered later."""
        created = watch(self._connection, _CREATED, self._notice_stream, denied=self._fail)
        self._watches.enter_context(created)
        streams, _ = await survey.list_streams(self._connection)
        await self.watch(*filter(None, (each.event for each in streams)))

    async def next(self) -> Message | None:
        """Give the next message, None at the end.

        :raises PermissionDeniedError: the NATS user may not watch one of the subjects.
        """
        item: Message | WalnatsError | None = await self._queue.get()
        if isinstance(item, WalnatsError):
            raise item
        return item

    def end(self) -> None:
        """Give no more than the messages that have come."""
        self._queue.push(None)

    def _watch(self, subject: str) -> None:
        if subject in self.subjects:
            return
        # What several of them take is given once, by the first one.
        receive = partial(self._receive, tuple(self.subjects))
        self._watches.enter_context(watch(self._connection, subject, receive, denied=self._fail))
        self.subjects.append(subject)

    def _receive(self, earlier: tuple[str, ...], msg: Message) -> None:
        if not takes(list(earlier), msg.subject):
            self._queue.push(msg)

    def _notice_stream(self, msg: Message) -> None:
        self._connection.spawn(self._watch_stream(msg.subject.rpartition('.')[2]))

    async def _watch_stream(self, name: str) -> None:
        try:
            stream = await survey.read_stream(self._connection, name)
        except WalnatsError as exc:
            self._queue.push(exc)
            return
        if stream is not None and stream.event is not None:
            self._watch(stream.event)

    def _fail(self, reason: str) -> None:
        self._queue.push(PermissionDeniedError(f"can't watch: {reason}"))
