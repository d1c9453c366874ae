"""Whether a failed job is tried again, and when. Pure decisions."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from .. import errors
from .outcome import Dead, Retry

if TYPE_CHECKING:
    from .._actor import Actor

logger = logging.getLogger('walnats.worker')

# Deliveries without any outcome that are put up with beyond `max_attempts`.
_EXTRA_DELIVERIES = 3
_FALLBACK_DELAY = 4.0


def after_failure(actor: Actor[Any, Any], attempt: int, exception: BaseException) -> Retry | Dead:
    """Decide what becomes of a message whose handler raised."""
    if isinstance(exception, errors.GiveUp):
        return Dead(str(exception.reason), exception)
    if isinstance(exception, tuple(actor.give_up_on)):
        return Dead(f'{type(exception).__name__} is not worth a retry', exception)
    if actor.max_attempts is not None and attempt >= actor.max_attempts:
        return Dead(f'{type(exception).__name__} on attempt {attempt}, the last one', exception)
    return Retry(_delay(actor, attempt, exception), exception)


def is_poison(actor: Actor[Any, Any], deliveries: int) -> bool:
    """If the message was delivered so often without an outcome that it isn't worth one more."""
    return actor.max_attempts is not None and deliveries > actor.max_attempts + _EXTRA_DELIVERIES


def number_attempt(actor: Actor[Any, Any], deliveries: int) -> int:
    """Give the number of the attempt: the last one stays the last after lost deliveries."""
    return deliveries if actor.max_attempts is None else min(deliveries, actor.max_attempts)


def _delay(actor: Actor[Any, Any], attempt: int, exception: BaseException) -> float:
    if isinstance(exception, errors.Retry) and exception.delay is not None:
        return _check_delay(actor, 'Retry', exception.delay)
    if not callable(actor.retry_delay):
        delays = actor.retry_delay
        return delays[min(attempt, len(delays)) - 1]
    try:
        delay = actor.retry_delay(attempt, exception)  # type: ignore[arg-type]  # it's no Exception where the handler's was none
    except BaseException:  # a SystemExit of the function's is not ours
        logger.exception('retry_delay of actor %r raised an error', actor.name)
        return _FALLBACK_DELAY
    return _check_delay(actor, 'retry_delay', delay)


def _check_delay(actor: Actor[Any, Any], what: str, delay: object) -> float:
    """Give the delay, or another one if it is none: the message has to go on somehow."""
    try:
        seconds = float(delay)  # type: ignore[arg-type]  # that is what is tried out
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if math.isfinite(seconds) and seconds >= 0:
        return seconds
    logger.error(
        '%s of actor %r gave %.80r: not a delay, so it is %g s',
        what,
        actor.name,
        delay,
        _FALLBACK_DELAY,
    )
    return _FALLBACK_DELAY
