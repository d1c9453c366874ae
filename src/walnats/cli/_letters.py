"""Dead letters as the command line names and selects them."""

import re
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from .. import _dead_letters, _names
from .._dead_letters import DeadLetter
from .._jetstream.connection import Connection
from ._connect import connect
from ._errors import CommandError
from ._server_options import ServerOptions
from ._units import Duration, show_duration

_ID = re.compile(r'(\d{1,19})-[0-9a-f]{3}')


@dataclass(frozen=True)
class Letter:
    """What is told about a dead letter: all but its headers and payload."""

    COLUMNS: ClassVar = ('id', 'event', 'actor', '#attempts', '#died', 'reason')

    id: str
    event: str
    actor: str
    reason: str
    exception: str | None
    attempts: int
    first_seen: datetime
    died_at: datetime

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        """Tell about that letter."""
        return cls(
            short_id(letter),
            letter.event,
            letter.actor,
            letter.reason,
            letter.exception,
            letter.attempts,
            letter.first_seen,
            letter.died_at,
        )

    def as_dict(self) -> dict[str, Any]:
        """Give it as it goes into JSON."""
        return vars(self)

    def row(self) -> list[str]:
        """Give it as a row of a table."""
        died = show_duration((datetime.now(UTC) - self.died_at).total_seconds())
        return [self.id, self.event, self.actor, str(self.attempts), f'{died} ago', self.reason]


@dataclass(frozen=True)
class Selection:
    """Which letters are meant."""

    event: str | None
    actor: str | None
    reason: str | None
    """A text in it, in any case of letters; `*` stands for anything."""
    older: Duration | None
    newer: Duration | None

    def __post_init__(self) -> None:
        if self.event is not None:
            _names.check_event_name(self.event)
        if self.actor is not None:
            _names.check_actor_name(self.actor)
        if self.reason == '':
            raise CommandError(
                '--reason is empty, and so in each of them: leave it out, or say --all'
            )

    @property
    def is_some(self) -> bool:
        """If it leaves out anything."""
        return any(value is not None for value in vars(self).values())

    def takes(self, letter: DeadLetter, now: datetime) -> bool:
        """If the letter is meant, as far as reason and age go."""
        age = (now - letter.died_at).total_seconds()
        return (
            (self.reason is None or _has(letter.reason, self.reason))
            and (self.older is None or age >= self.older)
            and (self.newer is None or age <= self.newer)
        )


def short_id(letter: DeadLetter) -> str:
    """Give what is short to type: its place, and three digits that tell a mistake from it."""
    return f'{letter.seq}-{zlib.crc32(letter.id.encode()) & 0xFFF:03x}'


async def find_letters(server: ServerOptions, ids: list[str], selection: Selection) -> list[Letter]:
    """Give the letters with these ids; without ids, those of the selection.

    :raises CommandError: there is no letter with one of the ids.
    """
    async with connect(server) as connection:
        if ids:
            return [Letter.of(await fetch(connection, each)) for each in dict.fromkeys(ids)]
        now = datetime.now(UTC)
        found = _dead_letters.browse_all(connection, selection.event, selection.actor)
        return [Letter.of(letter) async for letter in found if selection.takes(letter, now)]


async def fetch(connection: Connection, letter_id: str) -> DeadLetter:
    """Give the letter with that id.

    :raises CommandError: there is none.
    """
    found = _ID.fullmatch(letter_id)
    if found is None:
        raise CommandError(f"'{letter_id}' is no id of a dead letter, such as 17-3fa")
    letter = await _dead_letters.find(connection, int(found[1]))
    if letter is None or short_id(letter) != letter_id:
        raise CommandError(f"there is no dead letter '{letter_id}'; look at `walnats dead list`")
    return letter


def _has(reason: str, text: str) -> bool:
    pattern = '.*'.join(map(re.escape, text.split('*')))
    return re.search(pattern, reason, re.IGNORECASE) is not None
