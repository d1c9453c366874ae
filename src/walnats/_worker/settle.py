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
    from .outcome import Outcome

logger = logging.getLogger('walnats.worker')

# Seconds until the next try, where the dead letter couldn't be stored.
_LETTER_DELAY = 10.0


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
                await delivery.nak(_LETTER_DELAY)
                return
        await delivery.term(outcome.reason)
        logger.log(
            logging.WARNING if self._keeps_letters else logging.ERROR,
            'actor %r gave up on message %s%s: %s',
            self._actor.name,
            delivery.seq,
            ', it is a dead letter now' if self._keeps_letters else '',
            outcome.reason,
        )
