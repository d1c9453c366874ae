"""The options of `listen`, checked."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._checks import Fields

if TYPE_CHECKING:
    from collections.abc import Sequence

_CATCHABLE = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


@dataclass(frozen=True, kw_only=True)
class ListenOptions:
    """See `ConnectedActors.listen`."""

    burst: bool
    max_polls: int | None
    poll_delay: float
    batch: int | None
    max_jobs: int
    max_processes: int | None
    max_threads: int | None
    signals: Sequence[int]
    grace: float

    def __post_init__(self) -> None:
        """Check the values."""
        rules = Fields('listen', self)
        rules.boolean('burst')
        rules.seconds('poll_delay', least=0.001)
        rules.integer('batch', unless_none='for as many as there are free slots')
        rules.integer('max_jobs')
        rules.seconds('grace', least=0)
        rules.integer('max_polls', unless_none='for all actors at once')
        rules.integer('max_processes', unless_none='for as many as there are cores')
        rules.integer('max_threads', unless_none='for as many as there are slots')
        signals = rules.sequence('signals', 'signals')
        object.__setattr__(self, 'signals', signals)
        for number in signals:
            if not isinstance(number, int) or number not in _CATCHABLE:
                rule = 'must be signals that can be caught, such as signal.SIGTERM'
                rules.reject('signals', number, rule)
