"""Moments and days as ISO 8601."""

# ruff: noqa: DTZ001 -- moments without a time zone are messages too

from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from walnats.errors import DeclarationError, DecodeError, EncodeError
from walnats.serializers import DatetimeSerializer

MOMENT = datetime(2013, 1, 1, 5, 15, 30, 250_000)
OFFSETS = st.integers(-86_399, 86_399).map(lambda seconds: timedelta(seconds=seconds))
HAIR = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ('message', 'data'),
    [
        (MOMENT, b'2013-01-01T05:15:30.250000'),
        (MOMENT.replace(tzinfo=UTC), b'2013-01-01T05:15:30.250000+00:00'),
        (MOMENT.replace(microsecond=0, tzinfo=UTC), b'2013-01-01T05:15:30+00:00'),
        (MOMENT.replace(tzinfo=ZoneInfo('America/New_York')), b'2013-01-01T05:15:30.250000-05:00'),
    ],
)
def test_a_moment_is_iso_8601_on_the_wire(message: datetime, data: bytes) -> None:
    serializer = DatetimeSerializer(datetime)
    assert serializer.encode(message) == data
    assert serializer.decode(data) == message
    assert serializer.decode(data).utcoffset() == message.utcoffset()


def test_a_day_is_iso_8601_on_the_wire() -> None:
    serializer = DatetimeSerializer(date)
    assert serializer.encode(date(2013, 1, 1)) == b'2013-01-01'
    assert serializer.decode(b'2013-01-01') == date(2013, 1, 1)


@given(st.datetimes())
def test_moments_without_time_zone_come_back(message: datetime) -> None:
    serializer = DatetimeSerializer(datetime)
    decoded = serializer.decode(serializer.encode(message))
    assert decoded == message
    assert decoded.tzinfo is None


@given(st.datetimes(), OFFSETS)
def test_moments_with_any_offset_come_back(naive: datetime, offset: timedelta) -> None:
    message = naive.replace(tzinfo=timezone(offset))
    serializer = DatetimeSerializer(datetime)
    decoded = serializer.decode(serializer.encode(message))
    assert decoded.replace(tzinfo=None) == naive
    assert decoded.utcoffset() == offset


@given(st.datetimes(timezones=st.timezones(), allow_imaginary=False))
def test_moments_in_time_zones_come_back_with_their_offset(message: datetime) -> None:
    serializer = DatetimeSerializer(datetime)
    decoded = serializer.decode(serializer.encode(message))
    assert decoded.replace(tzinfo=None) == message.replace(tzinfo=None, fold=0)
    assert decoded.utcoffset() == message.utcoffset()


@given(st.dates())
def test_days_come_back(message: date) -> None:
    serializer = DatetimeSerializer(date)
    assert serializer.decode(serializer.encode(message)) == message


@pytest.mark.parametrize(
    ('data', 'expected'),
    [
        (b'"2013-01-01T05:15:30Z"', datetime(2013, 1, 1, 5, 15, 30, tzinfo=UTC)),
        (b'2013-01-01 05:15', datetime(2013, 1, 1, 5, 15)),
        (b'2013-01-01T05:15:30.123456789Z', datetime(2013, 1, 1, 5, 15, 30, 123_456, UTC)),
        (b'2013-01-01T05:15:30.5', datetime(2013, 1, 1, 5, 15, 30, 500_000)),
        (b'2013-01-01T05:15:30+0100', datetime(2013, 1, 1, 4, 15, 30, tzinfo=UTC)),
    ],
)
def test_a_peer_may_write_it_in_other_ways(data: bytes, expected: datetime) -> None:
    decoded = DatetimeSerializer(datetime).decode(data)
    assert decoded == expected
    assert (decoded.tzinfo is None) == (expected.tzinfo is None)


@pytest.mark.parametrize(
    ('data', 'reason'),
    [
        (b'', 'ISO 8601'),
        (b'"', 'ISO 8601'),
        (b'"2013-01-01T05:15', 'ISO 8601'),
        (b'2013-01-01', 'ISO 8601'),
        (b'20130101T051530', 'ISO 8601'),
        (b'2013-W01-1T05:15', 'ISO 8601'),
        (b'2013-01-01T05:15:30Z tomorrow', 'ISO 8601'),
        (b'2013-01-01T05:15:30+01:99', 'ISO 8601'),
        (b'2013-01-01T05:15:30+0060', 'ISO 8601'),
        (b'2013-01-01T05:15:30+01:00:60', 'ISO 8601'),
        (b'1357017330', 'ISO 8601'),
        (b'2013-13-01T05:15:30', 'there is no such datetime'),
        (b'2013-02-29T05:15:30', 'there is no such datetime'),
        (b'2013-01-01T25:15:30', 'there is no such datetime'),
        (b'2013-01-01T05:15:30+99:00', 'there is no such datetime'),
        (b'0000-01-01T05:15:30', 'there is no such datetime'),
        ('\N{FULLWIDTH DIGIT TWO}013-01-01T05:15:30'.encode(), 'ISO 8601'),
        (b'2013-01-01T05:15\xff', 'not UTF-8'),
    ],
)
def test_a_broken_payload_is_a_decode_error(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason) as caught:
        DatetimeSerializer(datetime).decode(data)
    assert type(caught.value) is DecodeError


@pytest.mark.parametrize('data', [b'', b'2013-01-01T00:00:00', b'2013-02-30', b'20130101'])
def test_a_broken_day_is_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        DatetimeSerializer(date).decode(data)


class NoOffset(tzinfo):
    def utcoffset(self, _: datetime | None) -> timedelta | None:
        return None

    def dst(self, _: datetime | None) -> timedelta | None:
        return None

    def tzname(self, _: datetime | None) -> str | None:
        return None


class Broken(NoOffset):
    def utcoffset(self, _: datetime | None) -> timedelta | None:
        raise LookupError(_)


@pytest.mark.parametrize(
    ('schema', 'message', 'reason'),
    [
        (datetime, date(2013, 1, 1), 'expected datetime, got date'),
        (datetime, '2013-01-01', 'expected datetime, got str'),
        (date, MOMENT, 'expected date, got datetime'),
        (date, time(5, 15), 'expected date, got time'),
        (datetime, MOMENT.replace(tzinfo=NoOffset()), 'no offset'),
        (datetime, MOMENT.replace(tzinfo=timezone(HAIR)), 'fractions of a second'),
        (datetime, MOMENT.replace(tzinfo=Broken()), 'LookupError'),
    ],
)
def test_what_would_change_is_refused(schema: Any, message: Any, reason: str) -> None:
    serializer: DatetimeSerializer[Any] = DatetimeSerializer(schema)
    with pytest.raises(EncodeError, match=reason):
        serializer.encode(message)


@pytest.mark.parametrize('schema', [str, time, datetime | None, timedelta])
def test_another_schema_is_refused(schema: Any) -> None:
    with pytest.raises(DeclarationError, match='DatetimeSerializer needs datetime or date'):
        DatetimeSerializer(schema)
