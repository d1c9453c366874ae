"""Looking on: what is published to a subject from now on, over core NATS."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import nats.errors

from ..errors import ConnectionClosedError, OutboundBufferLimitError
from .client import subscribe
from .translate import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from nats.aio.subscription import Subscription

    from .client import Message
    from .connection import Connection


@contextlib.contextmanager
def watch(
    connection: Connection,
    subject: str,
    receive: Callable[[Message], None],
    *,
    denied: Callable[[str], None],
) -> Iterator[None]:
    """Call `receive` with each message that is published while the context lasts.

    :param subject: it may have wildcards.
    :param denied: called with the server's reason if it doesn't let us watch.
    """
    if connection.is_released:
        raise ConnectionClosedError(f"can't watch '{subject}': the context of `connect` is over")

    def on_denied(denied_subject: str, reason: str) -> None:
        # To publish to the subject may be denied too.
        if denied_subject == subject.lower() and 'subscription' in reason:
            denied(reason)

    subscription = _subscribe_now(subscribe(connection.nc, subject, receive), subject)
    undo = connection.on_denied(on_denied)
    try:
        yield
    finally:
        undo()
        if not connection.nc.is_closed:
            connection.spawn(_unsubscribe(subscription))


async def _unsubscribe(subscription: Subscription) -> None:
    # An error here says that the connection is closed, or about to be.
    with contextlib.suppress(nats.errors.Error):
        await subscription.unsubscribe()


def _subscribe_now(subscribing: Coroutine[Any, Any, Subscription], subject: str) -> Subscription:
    """Subscribe before anything else is sent, though nobody can wait for it here.

    nats-py suspends it only where its queue of flushes is full.
    """
    try:
        subscribing.send(None)
    except StopIteration as done:
        subscription: Subscription = done.value
        return subscription
    except nats.errors.Error as exc:
        raise translated(exc, subject) from exc
    subscribing.close()
    raise OutboundBufferLimitError(f"can't watch '{subject}': too much is waiting to be sent")
