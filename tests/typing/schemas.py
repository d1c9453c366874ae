"""The types that the other files here have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType, TypedDict

UserId = NewType('UserId', int)


@dataclass
class User:
    name: str


@dataclass
class Admin(User):
    level: int = 0


@dataclass
class Robot:
    name: str


class Row(TypedDict):
    x: int
