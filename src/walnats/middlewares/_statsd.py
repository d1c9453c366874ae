"""Metrics for the Datadog agent and other servers of StatsD."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .._checks import Fields
from ._base import Middleware

if TYPE_CHECKING:
    from datadog.dogstatsd.base import DogStatsd

    from .._context import Context, ErrorContext, OkContext

# What the protocol uses itself, or servers replace in ways of their own.
_UNSAFE = re.compile(r'[^0-9A-Za-z_.-]')


class StatsdMiddleware(Middleware):
    """Counts jobs and measures how long they take, for Datadog.

    The metrics are the counters `walnats.EVENT.ACTOR.started`, `….failed` and `….processed`, and
    the histogram `walnats.EVENT.ACTOR.duration`, in seconds, of jobs that went well. Characters
    of a name other than ASCII letters, digits, `_`, `-` and `.` become `_`.

    The client is one of the package `datadog`: `pip install 'walnats[datadog]'`.

    :param client: where to send the metrics to.
    """

    def __init__(self, client: DogStatsd) -> None:
        if not callable(getattr(client, 'increment', None)):
            rules = Fields('StatsdMiddleware', client)
            rules.reject_type('client', client, 'must be a client such as datadog.DogStatsd()')
        self._client = client

    def on_start(self, ctx: Context, /) -> None:
        """Count the start."""
        self._client.increment(_name(ctx, 'started'))

    def on_success(self, ctx: OkContext, /) -> None:
        """Count the success and how long it took."""
        self._client.increment(_name(ctx, 'processed'))
        self._client.histogram(_name(ctx, 'duration'), ctx.duration)

    def on_failure(self, ctx: ErrorContext, /) -> None:
        """Count the failure."""
        self._client.increment(_name(ctx, 'failed'))


def _name(ctx: Context, what: str) -> str:
    return _UNSAFE.sub('_', f'walnats.{ctx.actor.event.name}.{ctx.actor.name}.{what}')
