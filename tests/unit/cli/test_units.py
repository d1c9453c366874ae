"""Durations and sizes as people write them."""

from __future__ import annotations

import pytest
import typer

from walnats.cli._units import Duration, show_duration, show_size


@pytest.mark.parametrize(
    ('text', 'seconds'),
    [
        ('90s', 90),
        ('250ms', 0.25),
        ('1.5h', 5400),
        ('1h30m', 5400),
        ('2d', 172_800),
        ('1w', 604_800),
        ('0s', 0),
    ],
)
def test_a_duration_is_read_and_shown_as_written(text: str, seconds: float) -> None:
    assert Duration(text) == seconds
    assert str(Duration(text)) == text


@pytest.mark.parametrize('text', ['', '5', 's', '1h 30m', '-1s', '1y', '1,5h', 'ten'])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match='write one such as 30s'):
        Duration(text)


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [
        (-0.2, '0.0s'),
        (0.04, '0.0s'),
        (9.94, '9.9s'),
        (59.7, '1m'),
        (61, '1m 1s'),
        (3600, '1h'),
        (3661, '1h 1m'),
        (90_000, '1d 1h'),
        (86_400 * 400, '400d'),
    ],
)
def test_an_age_is_shown_in_its_two_biggest_units(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text


@pytest.mark.parametrize(
    ('count', 'text'),
    [
        (0, '0 B'),
        (1023, '1023 B'),
        (1536, '1.5 KiB'),
        (5 * 2**30, '5.0 GiB'),
        (2**50, '1024.0 TiB'),
    ],
)
def test_a_size_is_shown_in_one_unit(count: int, text: str) -> None:
    assert show_size(count) == text
