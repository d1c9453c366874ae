"""What the diagrams have in common: where they run to, and their colours."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias, get_args

from .._checks import show
from ..errors import DeclarationError

Direction: TypeAlias = Literal['right', 'left', 'up', 'down']


class Paint(NamedTuple):
    """The colours of a box."""

    stroke: str
    fill: str


# The palette of event storming.
SERVICE = Paint('#f39c12', '#fef4e6')
EVENT = Paint('#e74c3c', '#fcebea')
ACTOR = Paint('#2980b9', '#e9f2fb')
ARROW = '#2c3e50'
"""Of the arrows to actors."""


def check_direction(direction: object) -> None:
    """Raise DeclarationError unless a diagram can run there."""
    known = get_args(Direction)
    if direction not in known:
        choice = ', '.join(map(repr, known))
        raise DeclarationError(f'direction must be one of {choice}, not {show(direction)}')
