"""The files in `data`, as they are."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TypeAlias

FOLDER = Path(__file__).parent / 'data'
MISSING = 'NA'

Row: TypeAlias = dict[str, str]


def read_flights() -> list[Row]:
    """Read the rows of the flights, by the names of their columns."""
    return _read('flights-2013-01.csv')


def read_airlines() -> dict[str, str]:
    """Read the name of each carrier."""
    return {row['carrier']: row['name'] for row in _read('airlines.csv')}


def _read(name: str) -> list[Row]:
    with (FOLDER / name).open(encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))
