"""The rules for names, and the names that are made from them on the wire."""

from __future__ import annotations

from ._checks import show
from .errors import DeclarationTypeError, InvalidNameError

MAX_LENGTH = 255
DEAD_STREAM = 'walnats-dead'
DEAD_SUBJECTS = 'walnats.dead.>'

_FORBIDDEN = {
    '*': 'it is a NATS wildcard',
    '>': 'it is a NATS wildcard',
    '/': "a file store can't hold it",
    '\\': "a file store can't hold it",
}


def check_event_name(name: str) -> None:
    """Raise InvalidNameError unless the name can be a NATS subject and make a stream name."""
    _check(name, 'event')
    if stream_name(name).startswith('walnats-'):
        raise InvalidNameError(
            f"event name {name!r}: stream names that start with 'walnats-' are reserved"
        )


def check_actor_name(name: str) -> None:
    """Raise InvalidNameError unless the name can be the name of a NATS consumer."""
    _check(name, 'actor')
    if '.' in name:
        raise InvalidNameError(f"actor name {name!r} must have no dots: use '-' in their place")


def stream_name(event_name: str) -> str:
    """Give the name of the stream that holds the event."""
    return event_name.replace('.', '-')


def actor_subject(stream: str, consumer: str) -> str:
    """Give the subject of what is meant for one actor alone."""
    return f'walnats.to.{stream}.{consumer}'


def stream_subjects(event_name: str) -> list[str]:
    """Give the subjects that the event's stream takes: the event, and each actor's own."""
    return [event_name, actor_subject(stream_name(event_name), '*')]


def consumer_subjects(event_name: str, consumer: str) -> list[str]:
    """Give the subjects that the actor's consumer takes: the event, and the actor's own."""
    return [event_name, actor_subject(stream_name(event_name), consumer)]


def dead_subject(stream: str, consumer: str, letter_id: str) -> str:
    """Give the subject of one dead letter; each one has its own, so it's stored once."""
    return f'walnats.dead.{stream}.{consumer}.{letter_id}'


def _check(name: object, kind: str) -> None:
    if not isinstance(name, str):
        actual = f'{type(name).__name__}: {show(name)}'
        raise DeclarationTypeError(f'{kind} name must be a string, not {actual}')
    problem = (
        _find_length_problem(name)
        or _find_character_problem(name)
        or _find_part_problem(name)
        or _find_start_problem(name)
    )
    if problem is not None:
        raise InvalidNameError(f'{kind} name {show(name)} {problem}')


def _find_length_problem(name: str) -> str | None:
    if not name:
        return 'must not be empty'
    if len(name) > MAX_LENGTH:
        return f'must be at most {MAX_LENGTH} characters long, it has {len(name)}'
    return None


def _find_character_problem(name: str) -> str | None:
    for char in name:
        if char.isspace():
            return f'must have no white space, it has {char!r}'
        if not '!' <= char <= '~':
            return f'must be printable ASCII, it has {char!r}'
        if char in _FORBIDDEN:
            return f'must not have {char!r}: {_FORBIDDEN[char]}'
    return None


def _find_part_problem(name: str) -> str | None:
    if '' in name.split('.'):
        return 'must have no empty part: no dot at the start or the end, no two in a row'
    return None


def _find_start_problem(name: str) -> str | None:
    if name.startswith('$'):
        return "must not start with '$': it is for the NATS system"
    if name.startswith('_INBOX'):
        return "must not start with '_INBOX': it is for answers"
    if name.partition('.')[0] == 'walnats':
        return "must not be 'walnats' or start with 'walnats.': that is for walnats itself"
    return None
