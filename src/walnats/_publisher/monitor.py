"""A live feed of messages, for people and tools that look on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from .._checks import Fields
from .._jetstream.watch import watch
from ..errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .._event import BaseEvent
    from .._jetstream.client import Message
    from .._jetstream.connection import Connection

logger = logging.getLogger('walnats.publisher')


class MonitorQueue(asyncio.Queue[Any]):
    """A queue of decoded messages that, when full, drops the oldest."""

    def __init__(self, maxsize: int) -> None:
        super().__init__(maxsize)
        self.dropped = 0
        """How many messages were dropped."""

    def push(self, message: Any) -> None:
        """Add a message, whatever it takes."""
        if self.full():
            self.get_nowait()
            if self.dropped == 0:
                logger.warning(
                    'monitor: the queue of %s messages is full, dropping the oldest', self.maxsize
                )
            self.dropped += 1
        self.put_nowait(message)


@contextlib.contextmanager
def monitor(
    connection: Connection, events: Iterable[BaseEvent[Any, Any]], maxsize: int
) -> Iterator[MonitorQueue]:
    """See `ConnectedEvents.monitor`."""
    Fields('monitor', SimpleNamespace(maxsize=maxsize)).integer('maxsize')
    queue = MonitorQueue(maxsize)
    with contextlib.ExitStack() as stack:
        for event in events:
            receive, denied = partial(_receive, event, queue), partial(_complain, event)
            stack.enter_context(watch(connection, event.name, receive, denied=denied))
        yield queue


def _receive(event: BaseEvent[Any, Any], queue: MonitorQueue, msg: Message) -> None:
    try:
        queue.push(event.decode(msg.data))
    except DecodeError as exc:
        logger.error('monitor: %s', exc)  # noqa: TRY400 -- the traceback would tell nothing more


def _complain(event: BaseEvent[Any, Any], reason: str) -> None:
    logger.error("monitor: event '%s' can't be watched: %s", event.name, reason)
