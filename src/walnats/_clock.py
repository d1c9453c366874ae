"""A clock: emits an event on each whole multiple of a period, for periodic tasks."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ._checks import Fields
from ._cloud_event import CloudEvent
from ._event import BaseEvent, Event
from ._publisher.headers import build_headers
from .errors import (
    JetStreamDisabledError,
    JetStreamError,
    NotConfirmedError,
    OutboundBufferLimitError,
    StreamFullError,
    StreamNotFoundError,
    WalnatsError,
)

if TYPE_CHECKING:
    from typing import Any

    from ._publisher.publisher import ConnectedEvents

logger = logging.getLogger('walnats.clock')

# Seconds. The wall clock may be set while we sleep: look at it from time to time.
_LONGEST_SLEEP = 10.0
_MIN_PERIOD = 0.01
_UNAVAILABLE = 503  # the code of refusals that may pass
_MINUTE_PASSED = Event('minute-passed', datetime)


@dataclass(frozen=True)
class Clock:
    """Emits an event on each whole multiple of a period since the epoch, in UTC.

        MINUTE_PASSED = walnats.Event('minute-passed', datetime)
        CLOCK = walnats.Clock(MINUTE_PASSED)

        async with walnats.Events(MINUTE_PASSED).connect() as conn:
            await conn.register()
            await CLOCK.run(conn)

    The message is the moment, an aware datetime. Run as many clocks as you like, for safety:
    JetStream stores one message per tick, by a uid made of it, as long as their wall clocks are
    not farther apart than the event's `dedup_window`.
    """

    event: BaseEvent[datetime, Any] = _MINUTE_PASSED
    """The event to emit. Its messages must be datetimes."""
    meta: CloudEvent | dict[str, str] | None = None
    """Headers of each message; a CloudEvent gets an id of the tick."""
    period: float = 60
    """Seconds from tick to tick."""

    def __post_init__(self) -> None:
        """Check the values."""
        rules = Fields('Clock', self)
        rules.instance('event', BaseEvent, "Event('minute-passed', datetime)")
        rules.seconds('period', least=_MIN_PERIOD)
        if self.event.schema is not datetime:
            rules.reject('event', self.event, 'must have the schema datetime')
        build_headers(uid=None, trace_id=None, due=None, meta=self.meta)  # refuses a wrong `meta`
        if isinstance(self.meta, dict):
            object.__setattr__(self, 'meta', dict(self.meta))

    async def run(self, conn: ConnectedEvents, burst: bool = False) -> None:  # noqa: FBT001, FBT002 -- the public contract has it so
        """Emit on each tick until cancelled.

        A tick that comes late, after an outage for instance, is not followed by those that
        were missed. One that can't be stored in time is logged and left out. If the wall clock
        is set, the ticks go on with the new time.

        :param conn: where the event is registered.
        :param burst: wait for the next tick, emit it, and return.
        :raises WalnatsError: the event can't be emitted at all, see `ConnectedEvents.emit`.
        """
        last = time.time() // self.period
        has_stored = False
        while True:
            last = await self._wait_for_tick(after=last)
            try:
                await self._emit(conn, last)
                has_stored = True
            except WalnatsError as exc:
                if burst or not _may_pass(exc, has_stored=has_stored):
                    raise
                logger.error('the tick is left out: %s', exc)  # noqa: TRY400 -- the traceback would tell nothing more
            if burst:
                return

    async def _wait_for_tick(self, *, after: float) -> float:
        """Give the number of periods since the epoch, once it is more than `after`."""
        while (passed := time.time() / self.period) < after + 1:
            # A wall clock that was set back gives ticks again: those that are stored are known.
            after = min(after, passed // 1)
            await asyncio.sleep(min((after + 1 - passed) * self.period, _LONGEST_SLEEP))
        return passed // 1

    async def _emit(self, conn: ConnectedEvents, tick: float) -> None:
        moment = datetime.fromtimestamp(tick * self.period, UTC)
        uid = f'{self.event.name}-{moment.isoformat()}'
        meta = self.meta
        if isinstance(meta, CloudEvent):
            meta = dataclasses.replace(meta, id=uid)
        await conn.emit(self.event, moment, uid=uid, meta=meta, sync=True)


def _may_pass(error: WalnatsError, *, has_stored: bool) -> bool:
    """Tell whether a later tick may be stored though nobody has mended anything.

    :param has_stored: if a tick was stored before. For one who may not ask for the stream, one
        that has no leader looks like none at all.
    """
    if isinstance(error, (StreamNotFoundError, JetStreamDisabledError)):
        return has_stored
    if type(error) is JetStreamError:  # not one of the more exact ones below it
        return error.code == _UNAVAILABLE
    return isinstance(error, (NotConfirmedError, OutboundBufferLimitError, StreamFullError))
