"""The answer to a request, over core NATS to the inbox that the message names."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from .. import _headers
from ..errors import WalnatsError
from .outcome import Ack, Dead

if TYPE_CHECKING:
    from .._jetstream.connection import Connection
    from .._jetstream.delivery import Delivery
    from .outcome import Outcome

logger = logging.getLogger('walnats.worker')

_MAX_SUBJECT = 512
# Whoever can emit chooses the subject, and the worker publishes to it with its own rights:
# never to the API of the server, nor to what is walnats' own.
_SAFE_SUBJECT = re.compile(r'(?!\$|walnats\.)[!-~]+')


def reply_subject(delivery: Delivery) -> str | None:
    """Give the inbox that waits for an answer, None where nobody does."""
    subject = (delivery.headers or {}).get(_headers.REPLY)
    if subject is None:
        return None
    if (
        len(subject) > _MAX_SUBJECT
        or not _SAFE_SUBJECT.fullmatch(subject)
        or '*' in subject
        or '>' in subject
        or '' in subject.split('.')
    ):
        logger.warning('message %s asks for an answer to a bad subject: ignored', delivery.seq)
        return None
    return subject


async def answer(connection: Connection, reply: str, outcome: Outcome) -> None:
    """Answer, unless the message is going to be handled again."""
    match outcome:
        case Ack(response=response):
            await _send(connection, reply, response or b'', None)
        case Dead(reason=reason):
            await _send(connection, reply, b'', {_headers.ERROR: _headers.as_value(reason)})
        case _:
            pass


async def _send(
    connection: Connection, reply: str, payload: bytes, headers: dict[str, str] | None
) -> None:
    if len(payload) > connection.nc.max_payload:
        payload, headers = b'', {_headers.ERROR: 'the response is too big for the server'}
    try:
        await connection.publish(reply, payload, headers=headers)
    except WalnatsError as exc:
        logger.error('the answer to %r is not sent: %s', reply, exc)  # noqa: TRY400 -- the traceback would tell nothing more
