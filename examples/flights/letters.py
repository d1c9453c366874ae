"""The dead letters: what the arrival log refused, read and mended by an operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .actors import ARRIVALS, DIVERTED, make_mended_actors
from .ledger import Step, open_ledger
from .processes import DemoError

if TYPE_CHECKING:
    from walnats.types import DeadLetter

    from .events import Departure
    from .ledger import Ledgers

OPERATOR = 'operator'


class Letter(NamedTuple):
    """Which flight was refused, and why."""

    flight: str
    reason: str


@dataclass(frozen=True)
class Mending:
    """What became of the letters."""

    found: list[Letter]
    replayed: Letter
    handled: set[str]
    """The flights that the mended handler has done."""
    left: list[Letter]
    """What was there after that."""


async def mend(server_url: str, ledgers: Ledgers) -> Mending:
    """Run the mended arrival log on one letter of a diverted flight, and see what is left."""
    with open_ledger(ledgers.path(OPERATOR)) as ledger:
        async with make_mended_actors(ledger).connect(server_url) as conn:
            await conn.register()
            letters = [letter async for letter in conn.dead_letters(ARRIVALS)]
            diverted = _find_diverted(letters)
            await conn.replay(diverted)
            await conn.listen(burst=True)
            left = [letter async for letter in conn.dead_letters(ARRIVALS)]
    handled = {entry.job.flight for entry in ledgers.read() if entry.step is Step.DONE}
    return Mending([*map(_read, letters)], _read(diverted), handled, [*map(_read, left)])


def _find_diverted(letters: list[DeadLetter]) -> DeadLetter:
    for letter in letters:
        if letter.reason == DIVERTED:
            return letter
    raise DemoError(f'none of the {len(letters)} dead letters is about a diverted flight')


def _read(letter: DeadLetter) -> Letter:
    departure: Departure = letter.message()
    return Letter(departure.flight.key, letter.reason)
