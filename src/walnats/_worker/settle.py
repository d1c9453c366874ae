"""Tells the server what became of a message."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from .._dead_letters import store_letter
from ..errors import WalnatsError
from .outcome import Ack, Dead, Postpone, Retry

if TYPE_CHECKING:
    from .._actor import Actor
    from .._jetstream.connection import Connection
    from .._jetstream.delivery import Delivery
    from .job import Job
    from .outcome import Outcome

logger = logging.getLogger('walnats.worker')

# Seconds until the next try, where the dead letter couldn't be stored.
_LETTER_DELAY = 10.0
# Messages without a letter of which it's remembered that the actor gave up on them.
_MAX_REMEMBERED = 10_000


class Settler:
    """Settles the messages of one actor.

    :param keeps_letters: store the messages that the actor gives up on.
    """

    def __init__(
        self, connection: Connection, actor: Actor[Any, Any], *, keeps_letters: bool
    ) -> None:
        self._connection = connection
        self._actor = actor
        self._keeps_letters = keeps_letters
        self._unburied: dict[tuple[int, int], tuple[Dead, int]] = {}

    def recall(self, delivery: Delivery, job: Job) -> Dead | None:
        """Give the outcome of a message that is here for its letter only, None for another.

        The actor gave up on it, and the dead letter couldn't be stored. To run it again would
        be one attempt too many, and the letter would tell another reason.
        """
        if not self._unburied or _key(delivery) not in self._unburied:
            return None
        outcome, job.attempt = self._unburied[_key(delivery)]
        return outcome

    async def settle(self, delivery: Delivery, outcome: Outcome, attempts: int = 0) -> None:
        """Acknowledge the message, hand it back, or take it off the actor for good.

        Where that isn't possible the message stays with the actor and will be delivered again.

        :param attempts: how often it was tried.
        """
        try:
            match outcome:
                case Ack():
                    await delivery.ack()
                case Retry(delay=delay) | Postpone(delay=delay):
                    await delivery.nak(delay)
                case Dead():
                    await self._bury(delivery, outcome, attempts)
        except WalnatsError as exc:
            logger.error(  # noqa: TRY400 -- the traceback would tell nothing more
                'actor %r: message %s could not be settled, it will be delivered again: %s',
                self._actor.name,
                delivery.seq,
                exc,
            )

    async def _bury(self, delivery: Delivery, outcome: Dead, attempts: int) -> None:
        """Take the message off the actor, but only once the dead letter is stored."""
        if self._keeps_letters:
            try:
                await store_letter(
                    self._connection,
                    self._actor,
                    delivery,
                    reason=outcome.reason,
                    exception=outcome.exception,
                    attempts=attempts,
                )
            except WalnatsError as exc:
                logger.error(  # noqa: TRY400 -- the traceback would tell nothing more
                    'actor %r gave up on message %s, but it stays: no dead letter is stored: %s',
                    self._actor.name,
                    delivery.seq,
                    exc,
                )
                self._remember(delivery, outcome, attempts)
                await delivery.nak(_LETTER_DELAY)
                return
            self._unburied.pop(_key(delivery), None)
        await delivery.term(outcome.reason)
        logger.log(
            logging.WARNING if self._keeps_letters else logging.ERROR,
            'actor %r gave up on message %s%s: %s',
            self._actor.name,
            delivery.seq,
            ', it is a dead letter now' if self._keeps_letters else '',
            outcome.reason,
        )

    def _remember(self, delivery: Delivery, outcome: Dead, attempts: int) -> None:
        self._unburied[_key(delivery)] = outcome, attempts
        if len(self._unburied) > _MAX_REMEMBERED:
            del self._unburied[next(iter(self._unburied))]


def _key(delivery: Delivery) -> tuple[int, int]:
    """Give what tells the message from all others, also if the stream is made anew."""
    return delivery.seq, delivery.timestamp_ns
