"""Durations and sizes as people write them: read from options, shown in tables."""

import re
from typing import Any, Self

import typer

_SECONDS = {'ms': 0.001, 's': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}
_PART = re.compile(rf'(\d+(?:\.\d+)?)({"|".join(_SECONDS)})')
_SIZES = ('B', 'KiB', 'MiB', 'GiB', 'TiB')
_STEP = 1024


class Duration(float):
    """Seconds, made of a text such as `90s`, `1h30m` or `2d`; it is shown as it was written."""

    _text: str

    def __new__(cls, text: str) -> Self:
        parts = _PART.findall(str(text))
        if not parts or ''.join(number + unit for number, unit in parts) != str(text):
            raise typer.BadParameter(
                f"'{text}' is no duration; write one such as 30s, 5m, 1h30m, 2d or 1w"
            )
        duration = super().__new__(
            cls, sum(float(number) * _SECONDS[unit] for number, unit in parts)
        )
        duration._text = str(text)
        return duration

    def __str__(self) -> str:
        return self._text


def duration_option(*names: str, help: str) -> Any:  # noqa: A002 -- as typer calls it
    """Give an option that takes a Duration."""
    return typer.Option(*names, parser=Duration, metavar='DURATION', help=help)


def show_duration(seconds: float) -> str:
    """Write a duration with its two biggest units, such as `2d 4h`; `0.3s` where it's short."""
    if seconds < 10:  # noqa: PLR2004 -- below that a tenth of a second tells something
        return f'{max(seconds, 0):.1f}s'
    parts: list[str] = []
    left = round(seconds)
    for unit in ('d', 'h', 'm', 's'):
        count, left = divmod(left, int(_SECONDS[unit]))
        if count or parts:
            parts.append(f'{count}{unit}')
    return ' '.join(part for part in parts[:2] if not part.startswith('0'))


def show_size(count: float) -> str:
    """Write a number of bytes, such as `1.4 MiB`."""
    for unit in _SIZES[:-1]:
        if count < _STEP:
            return f'{count:.0f} {unit}' if unit == 'B' else f'{count:.1f} {unit}'
        count /= _STEP
    return f'{count:.1f} {_SIZES[-1]}'
