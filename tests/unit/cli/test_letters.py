"""Which dead letters are meant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from walnats.cli._letters import Selection, short_id
from walnats.cli._units import Duration
from walnats.errors import InvalidNameError
from walnats.types import DeadLetter

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def letter(letter_id: str = 'order-placed.ship.17-1777000000000000000', seq: int = 3) -> DeadLetter:
    """A letter that died an hour ago."""
    died = NOW - timedelta(hours=1)
    return DeadLetter(
        id=letter_id,
        event='order.placed',
        actor='ship',
        reason='No route to Oslo (3 tried)',
        exception=None,
        attempts=1,
        first_seen=died,
        died_at=died,
        headers=None,
        data=b'{}',
        seq=seq,
        _declared=None,
    )


def select(**options: Any) -> Selection:
    nothing = dict.fromkeys(('event', 'actor', 'reason', 'older', 'newer'))
    return Selection(**{**nothing, **options})


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({}, True),
        ({'reason': 'route'}, True),
        ({'reason': 'no*oslo'}, True),
        ({'reason': '(3 tried)'}, True),
        ({'reason': 'oslo*route'}, False),
        ({'reason': '.'}, False),
        ({'older': Duration('59m')}, True),
        ({'older': Duration('61m')}, False),
        ({'newer': Duration('61m')}, True),
        ({'newer': Duration('59m')}, False),
        ({'older': Duration('59m'), 'newer': Duration('61m'), 'reason': 'bern'}, False),
    ],
)
def test_all_that_is_said_must_be_so(options: dict[str, Any], *, expected: bool) -> None:
    assert select(**options).takes(letter(), NOW) is expected
    assert select(**options).is_some is bool(options)


@pytest.mark.parametrize('options', [{'event': 'no good'}, {'actor': 'a.b'}])
def test_what_can_be_no_name_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidNameError):
        select(**options)


def test_the_short_id_is_of_one_letter() -> None:
    """A stream that was made anew has other letters at the same places."""
    one, same = letter(), letter()
    other = letter('order-placed.ship.17-1777000000000000001')
    elsewhere = letter(seq=4)
    assert short_id(one) == short_id(same)
    assert len({short_id(one), short_id(other), short_id(elsewhere)}) == 3
