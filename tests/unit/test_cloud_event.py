from __future__ import annotations

import pickle
import time
from dataclasses import FrozenInstanceError, fields
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_binary_event
from hypothesis import given, strategies as st

from walnats._cloud_event import CloudEvent
from walnats.errors import DeclarationError, DeclarationTypeError

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE_PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
FULL = CloudEvent(
    id='1-a',
    source='/orders',
    type='com.example.paid',
    specversion='1.0',
    datacontenttype='application/json; charset=utf-8',
    dataschema='https://example.com/order.json',
    subject='order 17 "€" 100%',
    time=datetime(2024, 1, 31, 12, 0, 0, 500, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    dataref='https://example.com/orders/17',
    partitionkey='17',
    sampledrate=30,
    sequence='0005',
    traceparent=TRACE_PARENT,
    tracestate='rojo=00f067aa0ba902b7,congo@vendor=t61',
)


def make(**changes: Any) -> CloudEvent:
    values: dict[str, Any] = {'id': '1', 'source': '/orders', 'type': 'paid'}
    return CloudEvent(**(values | changes))


def is_assigned(char: str) -> bool:
    return not (0xFDD0 <= ord(char) <= 0xFDEF or ord(char) & 0xFFFE == 0xFFFE)


texts = st.text(
    st.characters(exclude_categories=['Cc', 'Cs']).filter(is_assigned), min_size=1, max_size=30
)
zones = st.timezones() | st.builds(
    timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23))
)
first, last = datetime(2, 1, 1), datetime(9998, 12, 31)  # noqa: DTZ001 -- hypothesis adds zones
moments = st.datetimes(first, last) | st.datetimes(first, last, timezones=zones)
cloud_events = st.builds(
    CloudEvent,
    id=texts,
    source=st.sampled_from(['/a', 'urn:a:b', 'https://u@[::1]:80/a%20b?c=d#e', 'a/b:c', '?', '#']),
    type=texts,
    datacontenttype=st.none() | st.sampled_from(['text/plain', 'a/b+json;c="d; \\"e"']),
    dataschema=st.none() | st.sampled_from(['urn:a', 'https://example.com/a?b=c']),
    subject=st.none() | texts,
    time=st.none() | moments,
    dataref=st.none() | st.just('../a'),
    partitionkey=st.none() | texts,
    sampledrate=st.none() | st.integers(1, 2**31 - 1),
    sequence=st.none() | texts,
    traceparent=st.just(TRACE_PARENT),
    tracestate=st.none() | st.just('a=b , c=d'),
)


def as_moment(moment: datetime | None) -> datetime | None:
    """Give the moment in UTC: Python takes two zones for unequal where a clock is set back."""
    if moment is None:
        return None
    if moment.utcoffset() is None:
        return moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)


def test_fields_and_their_order_are_the_contract() -> None:
    assert [field.name for field in fields(CloudEvent)] == [
        'id',
        'source',
        'type',
        'specversion',
        'datacontenttype',
        'dataschema',
        'subject',
        'time',
        'dataref',
        'partitionkey',
        'sampledrate',
        'sequence',
        'traceparent',
        'tracestate',
    ]
    assert CloudEvent('1', '/a', 'b', '1.0', 'text/plain').datacontenttype == 'text/plain'


def test_is_immutable_hashable_and_picklable() -> None:
    with pytest.raises(FrozenInstanceError):
        FULL.id = '2'  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue] -- the case itself
    assert {FULL: 1}[pickle.loads(pickle.dumps(FULL))] == 1  # noqa: S301 -- our own bytes


def test_as_dict_has_only_what_is_set() -> None:
    assert make().as_dict() == {
        'id': '1',
        'source': '/orders',
        'type': 'paid',
        'specversion': '1.0',
    }


def test_as_dict_is_the_json_format() -> None:
    assert FULL.as_dict() == {
        'id': '1-a',
        'source': '/orders',
        'type': 'com.example.paid',
        'specversion': '1.0',
        'datacontenttype': 'application/json; charset=utf-8',
        'dataschema': 'https://example.com/order.json',
        'subject': 'order 17 "€" 100%',
        'time': '2024-01-31T12:00:00.000500-03:30',
        'dataref': 'https://example.com/orders/17',
        'partitionkey': '17',
        'sampledrate': 30,
        'sequence': '0005',
        'traceparent': TRACE_PARENT,
        'tracestate': 'rojo=00f067aa0ba902b7,congo@vendor=t61',
    }


def test_as_headers_is_the_binary_mode_of_the_nats_binding() -> None:
    assert FULL.as_headers() == {
        'ce-id': '1-a',
        'ce-source': '/orders',
        'ce-type': 'com.example.paid',
        'ce-specversion': '1.0',
        'ce-datacontenttype': 'application/json;%20charset=utf-8',
        'ce-dataschema': 'https://example.com/order.json',
        'ce-subject': 'order%2017%20%22%E2%82%AC%22%20100%25',
        'ce-time': '2024-01-31T12:00:00.000500-03:30',
        'ce-dataref': 'https://example.com/orders/17',
        'ce-partitionkey': '17',
        'ce-sampledrate': '30',
        'ce-sequence': '0005',
        'ce-traceparent': TRACE_PARENT,
        'ce-tracestate': 'rojo=00f067aa0ba902b7,congo@vendor=t61',
    }


def test_as_headers_encodes_space_quote_percent_and_non_ascii_only() -> None:
    printable = ''.join(map(chr, range(0x21, 0x7F)))
    expected = printable.replace('%', '%25').replace('"', '%22')
    assert make(subject=printable).as_headers()['ce-subject'] == expected
    assert make(subject=' ~\xa0é😀').as_headers()['ce-subject'] == '%20~%C2%A0%C3%A9%F0%9F%98%80'


@pytest.mark.parametrize(
    ('moment', 'expected'),
    [
        (datetime(2024, 1, 31, 12), '2024-01-31T12:00:00Z'),  # noqa: DTZ001 -- the case itself
        (datetime(2024, 1, 31, 12, tzinfo=UTC), '2024-01-31T12:00:00Z'),
        (datetime(7, 1, 31, 12, 0, 0, 1, UTC), '0007-01-31T12:00:00.000001Z'),
        (
            datetime(2024, 1, 31, 12, tzinfo=timezone(timedelta(hours=5, minutes=45))),
            '2024-01-31T12:00:00+05:45',
        ),
        (
            datetime(2024, 1, 31, 12, tzinfo=timezone(timedelta(minutes=19, seconds=32))),
            '2024-01-31T11:40:28Z',
        ),
    ],
)
def test_time_is_rfc_3339(moment: datetime, expected: str) -> None:
    event = make(time=moment)
    assert event.time is moment
    assert event.as_dict()['time'] == expected
    assert event.as_headers()['ce-time'] == expected


@pytest.fixture
def local_time_far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv('TZ', 'XYZ-9')
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures('local_time_far_from_utc')
def test_time_without_a_zone_is_utc_whatever_the_local_time_is() -> None:
    event = make(time=datetime(2024, 1, 31, 12))  # noqa: DTZ001 -- the case itself
    assert event.as_dict()['time'] == '2024-01-31T12:00:00Z'


@given(cloud_events)
def test_from_headers_reads_what_as_headers_wrote(event: CloudEvent) -> None:
    read = CloudEvent.from_headers(event.as_headers())
    for field in fields(CloudEvent):
        if field.name != 'time':
            assert getattr(read, field.name) == getattr(event, field.name)
    assert as_moment(read.time) == as_moment(event.time)
    assert read.time is None or read.time.utcoffset() is not None


@given(cloud_events)
def test_headers_are_printable_ascii_without_spaces(event: CloudEvent) -> None:
    for name, value in event.as_headers().items():
        assert name.isascii()
        assert value
        assert all('!' <= char <= '~' for char in value)


@given(cloud_events)
def test_the_official_http_reader_reads_our_headers(event: CloudEvent) -> None:
    read = from_binary_event(HTTPMessage(headers=event.as_headers(), body=b'"payload"'))
    expected: dict[str, Any] = dict(event.as_dict())
    attributes = read.get_attributes()
    if event.time is None:
        # The reader sets it to the current time, where it isn't in the headers.
        attributes.pop('time')
    else:
        expected['time'] = as_moment(event.time)
    if event.sampledrate is not None:
        # The reader has no types for extensions.
        expected['sampledrate'] = str(event.sampledrate)
    assert attributes == expected


def test_the_official_http_reader_reads_the_content_type() -> None:
    event = make(datacontenttype='application/json')
    read = from_binary_event(HTTPMessage(headers=event.as_headers(), body=b'{"a": 1}'))
    assert read.get_datacontenttype() == 'application/json'
    assert read.get_data() == {'a': 1}


REQUIRED_HEADERS = {'ce-id': '1', 'ce-source': '/a', 'ce-type': 'b', 'ce-specversion': '1.0'}


def test_from_headers_ignores_case_other_headers_and_extensions_without_a_field() -> None:
    headers = {
        'CE-ID': '1',
        'Ce-Source': '/a',
        'ce-type': 'b',
        'ce-specversion': '1.0',
        'ce-myextension': '%zz',
        'Content-Type': 'text/plain',
        'subject': 'not ours',
        'Nats-Msg-Id': '1',
    }
    assert CloudEvent.from_headers(headers) == CloudEvent('1', '/a', 'b')
    assert len(headers) == 8


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        ('a%20b', 'a b'),
        ('%e2%82%ac', '€'),
        ('%2520', '%20'),
        ('€ raw', '€ raw'),
        (' a\t', 'a'),
        (r'"a \"b\" \\ %20"', 'a "b" \\  '),
        ('"', '"'),
        ('a+b', 'a+b'),
    ],
)
def test_from_headers_decodes(value: str, expected: str) -> None:
    event = CloudEvent.from_headers({**REQUIRED_HEADERS, 'ce-subject': value})
    assert event.subject == expected


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('2018-04-05T17:31:00Z', datetime(2018, 4, 5, 17, 31, tzinfo=UTC)),
        ('2018-04-05t17:31:00z', datetime(2018, 4, 5, 17, 31, tzinfo=UTC)),
        ('2018-04-05T17:31:00.123456789Z', datetime(2018, 4, 5, 17, 31, 0, 123456, UTC)),
        ('2018-04-05T17:31:00.5-00:00', datetime(2018, 4, 5, 17, 31, 0, 500000, UTC)),
        ('2018-04-05T17:31:00+01:30', datetime(2018, 4, 5, 16, 1, tzinfo=UTC)),
    ],
)
def test_from_headers_reads_rfc_3339(text: str, expected: datetime) -> None:
    event = CloudEvent.from_headers({**REQUIRED_HEADERS, 'ce-time': text})
    assert event.time == expected


@pytest.mark.parametrize(
    ('header', 'value', 'reason'),
    [
        ('ce-id', '', "'id' must not be empty"),
        ('ce-id', '%', "'id' has a '%'"),
        ('ce-id', 'a%2', "'id' has a '%'"),
        ('ce-id', '%C3', "'id' is percent-encoded, but not as UTF-8"),
        ('ce-id', '%ED%A0%80', "'id' is percent-encoded, but not as UTF-8"),
        ('ce-id', '%0A', "'id' must have no control characters"),
        ('CE-ID', '2', "'id' is there twice"),
        ('ce-specversion', '0.3', "'specversion' must be '1.0'"),
        ('ce-source', 'a%20b', "'source' must be a URI reference"),
        ('ce-sampledrate', '0', "'sampledrate' must be from 1 to"),
        ('ce-sampledrate', '-1', "'sampledrate' must be from 1 to"),
        ('ce-sampledrate', '2147483648', "'sampledrate' must be from 1 to"),
        ('ce-sampledrate', '9' * 5000, "'sampledrate' must be a decimal integer"),
        ('ce-sampledrate', '1_0', "'sampledrate' must be a decimal integer"),
        ('ce-sampledrate', '\u0661', "'sampledrate' must be a decimal integer"),
        ('ce-time', '2018-04-05', "'time' must be of the form of RFC 3339"),
        ('ce-time', '20180405T173100Z', "'time' must be of the form of RFC 3339"),
        ('ce-time', '2018-04-05T17:31:00', "'time' must be of the form of RFC 3339"),
        ('ce-time', '2018-04-05T24:00:00Z', "'time' must be of the form of RFC 3339"),
        ('ce-time', '2018-04-05T17:31:00+01:99', "'time' must be of the form of RFC 3339"),
        ('ce-time', '2018-04-05T17:31:60Z', "'time' can't be a Python datetime"),
        ('ce-time', '2018-02-30T17:31:00Z', "'time' can't be a Python datetime"),
    ],
)
def test_from_headers_refuses(header: str, value: str, reason: str) -> None:
    with pytest.raises(DeclarationError, match=reason) as caught:
        CloudEvent.from_headers({**REQUIRED_HEADERS, header: value})
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize('name', sorted(REQUIRED_HEADERS))
def test_from_headers_needs_the_required_ones(name: str) -> None:
    headers = {key: value for key, value in REQUIRED_HEADERS.items() if key != name}
    with pytest.raises(DeclarationError, match=f"there is no '{name}'"):
        CloudEvent.from_headers(headers)


def test_from_headers_takes_only_strings() -> None:
    bad: Any = {**REQUIRED_HEADERS, 'ce-subject': b'1'}
    with pytest.raises(DeclarationTypeError, match="'subject' must be a string, not bytes"):
        CloudEvent.from_headers(bad)
    for name in (b'ce-subject', 1, None):
        unnamed: Any = {**REQUIRED_HEADERS, name: '1'}
        with pytest.raises(DeclarationTypeError, match='headers must have strings as names, not'):
            CloudEvent.from_headers(unnamed)
    nothing: Any = None
    with pytest.raises(DeclarationTypeError, match='headers must be a mapping of strings'):
        CloudEvent.from_headers(nothing)


@given(st.dictionaries(st.sampled_from(sorted(FULL.as_headers())), st.text(max_size=40)))
def test_from_headers_gives_an_event_or_the_named_error(headers: dict[str, str]) -> None:
    try:
        event = CloudEvent.from_headers(REQUIRED_HEADERS | headers)
    except DeclarationError:
        return
    assert CloudEvent.from_headers(event.as_headers()) == event


STRINGS = [field.name for field in fields(CloudEvent) if field.name not in {'time', 'sampledrate'}]
BAD_CHARACTERS = ['\0', '\n', '\x1f', '\x7f', '\x85', '\ud800', '\udfff', '\ufdd0', '\ufffe']
BAD_CHARACTERS += ['\uffff', '\U0001ffff', '\U0010fffe']


@pytest.mark.parametrize('name', STRINGS)
@pytest.mark.parametrize('value', [1, b'a', ['a'], datetime(2024, 1, 1, tzinfo=UTC)])
def test_strings_are_strings(name: str, value: object) -> None:
    with pytest.raises(DeclarationTypeError, match=f"'{name}' must be a string, not"):
        make(**{name: value})


@pytest.mark.parametrize('name', STRINGS)
def test_strings_are_not_empty(name: str) -> None:
    with pytest.raises(DeclarationError, match=f"'{name}' must not be empty"):
        make(**{name: ''})


@pytest.mark.parametrize('name', STRINGS)
@pytest.mark.parametrize('char', BAD_CHARACTERS)
def test_strings_have_no_forbidden_characters(name: str, char: str) -> None:
    with pytest.raises(DeclarationError, match=f"'{name}' must have no control characters"):
        make(**{name: 'a' + char})


@pytest.mark.parametrize('name', ['id', 'source', 'type', 'specversion'])
def test_required_attributes_are_not_none(name: str) -> None:
    with pytest.raises(DeclarationTypeError, match=f"'{name}' must be a string, not NoneType"):
        make(**{name: None})


@pytest.mark.parametrize('value', ['0.3', '1', '1.0 ', '1.1'])
def test_specversion_is_1_0(value: str) -> None:
    with pytest.raises(DeclarationError, match=r"'specversion' must be '1\.0'"):
        make(specversion=value)


RELATIVE = ['/', 'a', 'a/b:c', './a:b', '//host/a', '//[::1]', '?a=b/?', '#a', '*', '../a', "o'k"]
ABSOLUTE = ['urn:a', 'mailto:a@b.example', 'https://example.com', 'http://u:p@[2001:db8::7]:80/a']
ABSOLUTE += ['a:', 'x-y+z.1:/a', 'https://example.com/%C3%A9?a=%20', 'file:///a', 'tag:a,2024:b']
NO_URIS = ['a b', ' a', 'a ', 'é', 'http://é', '1a:b', ':', 'a"', 'a<b>', 'a^', 'a`', '{a}', 'a|b']
NO_URIS += ['a\\b', '%', '%2', '%zz', '[a]', 'http://[::1', 'a#b#c', 'http://a@b@c', '//a:b:c']


@pytest.mark.parametrize('name', ['source', 'dataref'])
@pytest.mark.parametrize('value', [*RELATIVE, *ABSOLUTE, 'https://example.com/a#b'])
def test_uri_references(name: str, value: str) -> None:
    assert getattr(make(**{name: value}), name) == value


@pytest.mark.parametrize('name', ['source', 'dataref'])
@pytest.mark.parametrize('value', NO_URIS)
def test_what_is_no_uri_reference(name: str, value: str) -> None:
    with pytest.raises(DeclarationError, match=f"'{name}' must be a URI reference"):
        make(**{name: value})


@pytest.mark.parametrize('value', ABSOLUTE)
def test_absolute_uris(value: str) -> None:
    assert make(dataschema=value).dataschema == value


@pytest.mark.parametrize('value', [*RELATIVE, *NO_URIS, 'https://example.com/a#b'])
def test_what_is_no_absolute_uri(value: str) -> None:
    with pytest.raises(DeclarationError, match="'dataschema' must be an absolute URI"):
        make(dataschema=value)


@pytest.mark.parametrize(
    'value',
    [
        'text/plain',
        'application/vnd.a.b+json',
        'text/plain;charset=utf-8',
        'TEXT/Plain ; a="b;\\"c" ; d=e',
        "x/!#$%&'*+-.^_`|~",
    ],
)
def test_media_types(value: str) -> None:
    assert make(datacontenttype=value).datacontenttype == value


@pytest.mark.parametrize(
    'value',
    ['json', '/json', 'text/', 'text /plain', 'a/b/c', 'a/b;', 'a/b;c', 'a/b; c= d', 'a/b;c="d'],
)
def test_what_is_no_media_type(value: str) -> None:
    with pytest.raises(DeclarationError, match="'datacontenttype' must be a media type"):
        make(datacontenttype=value)


@pytest.mark.parametrize('value', ['2024-01-31T12:00:00Z', 1.5, date(2024, 1, 31)])
def test_time_is_a_datetime(value: object) -> None:
    with pytest.raises(DeclarationTypeError, match="'time' must be a datetime, not"):
        make(time=value)


def test_time_that_has_no_utc_is_refused() -> None:
    zone = timezone(timedelta(minutes=19, seconds=32))
    with pytest.raises(DeclarationError, match="'time' must be in the years 1 to 9999"):
        make(time=datetime(1, 1, 1, tzinfo=zone))


@pytest.mark.parametrize('value', ['1', 1.0, True])
def test_sampledrate_is_an_integer(value: object) -> None:
    with pytest.raises(DeclarationTypeError, match="'sampledrate' must be an integer, not"):
        make(sampledrate=value)


@pytest.mark.parametrize('value', [0, -1, 2**31, pytest.param(10**5000, id='huge')])
def test_sampledrate_is_positive_and_of_32_bits(value: int) -> None:
    with pytest.raises(DeclarationError, match="'sampledrate' must be from 1 to 2147483647"):
        make(sampledrate=value)


@pytest.mark.parametrize('value', [TRACE_PARENT, 'cc' + TRACE_PARENT[2:] + '-what-comes'])
def test_trace_parents(value: str) -> None:
    assert make(traceparent=value).traceparent == value


@pytest.mark.parametrize(
    'value',
    [
        'a',
        TRACE_PARENT.upper(),
        TRACE_PARENT + '-',
        TRACE_PARENT + ' ',
        TRACE_PARENT[:-1],
        'ff' + TRACE_PARENT[2:],
        f'00-{"0" * 32}-b7ad6b7169203331-01',
        f'00-0af7651916cd43dd8448eb211c80319c-{"0" * 16}-01',
    ],
)
def test_what_is_no_trace_parent(value: str) -> None:
    with pytest.raises(DeclarationError, match="'traceparent' must be of the W3C form"):
        make(traceparent=value)


@pytest.mark.parametrize(
    'value', ['a=b', 'a=b,c@d=e f', '1@a=b', 'a=b, ,c=d', ','.join(f'k{i}=v' for i in range(32))]
)
def test_trace_states(value: str) -> None:
    assert make(traceparent=TRACE_PARENT, tracestate=value).tracestate == value


@pytest.mark.parametrize(
    'value',
    [
        *[
            ',',
            'a',
            'a=',
            '=a',
            'A=b',
            'a=b=c',
            'a=é',
            'a=b,a=c',
            f'a={"b" * 257}',
            f'{"a" * 257}=b',
        ],
        ','.join(f'k{i}=v' for i in range(33)),
    ],
)
def test_what_is_no_trace_state(value: str) -> None:
    with pytest.raises(DeclarationError, match="'tracestate' must be of the W3C form"):
        make(traceparent=TRACE_PARENT, tracestate=value)


def test_a_trace_state_needs_a_trace_parent() -> None:
    with pytest.raises(DeclarationError, match="'tracestate' needs a 'traceparent'"):
        make(tracestate='a=b')


def test_errors_show_little_of_a_long_value() -> None:
    with pytest.raises(DeclarationError) as caught:
        make(source='é' * 1_000_000)
    assert len(str(caught.value)) < 300
