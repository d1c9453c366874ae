"""Streams and consumers as settings: what walnats wants, and how it differs from what is.

Pure functions on the JSON of the JetStream API. Settings that walnats doesn't own are
never looked at, and go back to the server as they came.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .. import _names
from .._actor import Start

if TYPE_CHECKING:
    from .._actor import Actor, DeadLetters
    from .._event import BaseEvent, Limits, Storage

Config = dict[str, Any]

_NANOSECONDS = 10**9
# It counts the open requests of all workers of an actor, and can't be changed later.
_MAX_WAITING = 4096

# What the server means where it leaves a setting out, and what the setting is called here.
_STREAM_SETTINGS: dict[str, tuple[Any, str]] = {
    'subjects': ([], 'subjects'),
    'description': ('', 'description'),
    'max_age': (0, 'limits.age (ns)'),
    'max_consumers': (-1, 'limits.consumers'),
    'max_msgs': (-1, 'limits.messages'),
    'max_bytes': (-1, 'limits.bytes'),
    'max_msg_size': (-1, 'limits.message_size'),
    'retention': ('limits', 'storage.retention'),
    'storage': ('file', 'storage.medium'),
    'num_replicas': (1, 'storage.replicas'),
    'discard': ('old', 'storage.discard'),
    'compression': ('none', 'storage.compression'),
    'duplicate_window': (120 * _NANOSECONDS, 'storage.dedup_window (ns)'),
}
_CONSUMER_SETTINGS: dict[str, tuple[Any, str]] = {
    'description': ('', 'description'),
    'ack_policy': ('none', 'ack policy'),
    'ack_wait': (30 * _NANOSECONDS, 'ack_wait (ns)'),
    'backoff': ([], 'backoff'),
    'max_deliver': (-1, 'max deliver'),
    'max_ack_pending': (1000, 'max_ack_pending'),
    'filter_subjects': ([], 'filter'),
    'replay_policy': ('instant', 'replay policy'),
    'deliver_policy': ('all', 'start'),
    'opt_start_time': (None, 'start time'),
    'headers_only': (False, 'headers only'),
}
# What no version of the server changes on what is there already.
_FIXED = {'storage', 'ack_policy', 'replay_policy', 'deliver_policy', 'opt_start_time'}


@dataclass(frozen=True)
class Difference:
    """One setting that isn't as declared."""

    key: str
    """What the server calls it, such as `max_age`."""
    name: str
    """What walnats calls it, such as `limits.age (ns)`."""
    old: Any
    """The value on the server."""
    new: Any
    """The value as declared."""

    def __str__(self) -> str:
        return f'{self.name}: {self.old!r} → {self.new!r}'

    @property
    def is_refused(self) -> bool:
        """If the server is known to refuse the change, whatever else it is asked for."""
        return self.key in _FIXED or (self.key == 'retention' and self.old == 'workqueue')


@dataclass(frozen=True)
class Change:
    """What `register` would do with one stream or consumer. `plan` gives them."""

    stream: str
    """The name of the stream."""
    consumer: str | None = None
    """The name of its consumer, None where it is the stream itself that changes."""
    differences: tuple[Difference, ...] = ()
    """The settings that would change; none where it would be created."""
    refused: str | None = None
    """Why the server, or walnats, is known to refuse it; None if nothing is known against it."""

    @property
    def is_new(self) -> bool:
        """If it would be created."""
        return not self.differences and self.refused is None


def event_stream(event: BaseEvent[Any, Any]) -> Config:
    """Give the settings of the event's stream."""
    return _stream(
        event.stream_name,
        _names.stream_subjects(event.name),
        event.description,
        event.limits,
        event.storage,
    )


def dead_stream(letters: DeadLetters) -> Config:
    """Give the settings of the stream of dead letters."""
    return _stream(
        _names.DEAD_STREAM, [_names.DEAD_SUBJECTS], None, letters.limits, letters.storage
    )


def actor_consumer(actor: Actor[Any, Any]) -> Config:
    """Give the settings of the actor's consumer."""
    config: Config = {
        'ack_policy': 'explicit',
        'ack_wait': _ns(actor.ack_wait),
        # Attempts are counted by the worker: the server would drop the message silently.
        'max_deliver': -1,
        # It would take the place of `ack_wait`, and of the delay of a message that is put back.
        'backoff': [],
        'headers_only': False,
        'max_ack_pending': actor.max_ack_pending,
        'filter_subjects': _names.consumer_subjects(actor.event.name, actor.consumer_name),
        'replay_policy': 'instant',
        **_start(actor.start),
    }
    if actor.description is not None:
        config['description'] = actor.description
    return config


def new_consumer(name: str, wanted: Config) -> Config:
    """Add what is set only when a consumer is created."""
    return {**wanted, 'name': name, 'durable_name': name, 'max_waiting': _MAX_WAITING}


def stream_differences(current: Config, wanted: Config) -> list[Difference]:
    """List the settings of an existing stream that aren't as wanted."""
    missing = [s for s in wanted['subjects'] if not takes(current.get('subjects', []), s)]
    subjects = [*current.get('subjects', []), *missing]
    return _differences(current, {**wanted, 'subjects': subjects}, _STREAM_SETTINGS)


def consumer_differences(current: Config, wanted: Config) -> list[Difference]:
    """List the settings of an existing consumer that aren't as wanted."""
    if 'filter_subject' in current:
        current = {**current, 'filter_subjects': [current['filter_subject']]}
    if sorted(current.get('filter_subjects', [])) == sorted(wanted['filter_subjects']):
        wanted = {**wanted, 'filter_subjects': current['filter_subjects']}
    return _differences(current, wanted, _CONSUMER_SETTINGS)


def changed(current: Config, differences: list[Difference]) -> Config:
    """Give the existing settings with only the differences changed."""
    config = {**current, **{difference.key: difference.new for difference in differences}}
    if 'filter_subjects' in config:
        config.pop('filter_subject', None)
    return config


def takes(subjects: list[str], subject: str) -> bool:
    """If one of the stream's subjects, which may have wildcards, covers the subject."""
    return any(_covers(pattern.split('.'), subject.split('.')) for pattern in subjects)


def _covers(pattern: list[str], subject: list[str]) -> bool:
    for index, token in enumerate(pattern):
        if token == '>':  # noqa: S105 -- a part of a subject, no secret
            return len(subject) > index
        if index >= len(subject) or subject[index] == '>' or token not in ('*', subject[index]):
            return False
    return len(pattern) == len(subject)


def _stream(
    name: str, subjects: list[str], description: str | None, limits: Limits, storage: Storage
) -> Config:
    window = storage.dedup_window if limits.age is None else min(storage.dedup_window, limits.age)
    config: Config = {
        'name': name,
        'subjects': subjects,
        'max_age': 0 if limits.age is None else _ns(limits.age),
        'max_consumers': _or_unlimited(limits.consumers),
        'max_msgs': _or_unlimited(limits.messages),
        'max_bytes': _or_unlimited(limits.bytes),
        'max_msg_size': _or_unlimited(limits.message_size),
        'retention': storage.retention.value,
        'storage': storage.medium.value,
        'num_replicas': storage.replicas,
        'discard': storage.discard.value,
        'compression': 's2' if storage.compression else 'none',
        'duplicate_window': _ns(window),
    }
    if description is not None:
        config['description'] = description
    return config


def _differences(
    current: Config, wanted: Config, settings: dict[str, tuple[Any, str]]
) -> list[Difference]:
    return [
        Difference(key, name, current.get(key, default), wanted[key])
        for key, (default, name) in settings.items()
        if key in wanted and current.get(key, default) != wanted[key]
    ]


def _start(start: Start | datetime) -> Config:
    if isinstance(start, datetime):
        return {'deliver_policy': 'by_start_time', 'opt_start_time': _rfc3339(start)}
    return {'deliver_policy': 'all' if start is Start.ALL else 'new', 'opt_start_time': None}


def _rfc3339(moment: datetime) -> str:
    """Write the moment as the server does: UTC, without zeros at the end of a fraction."""
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return (text.rstrip('0') if '.' in text else text) + 'Z'


def _ns(seconds: float) -> int:
    return round(seconds * _NANOSECONDS)


def _or_unlimited(limit: int | None) -> int:
    return -1 if limit is None else limit
