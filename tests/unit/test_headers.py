from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, strategies as st

from walnats._cloud_event import CloudEvent
from walnats._headers import check_header, check_id, check_value, headers_size, republished_headers
from walnats._publisher.headers import build_headers
from walnats.errors import HeaderError, HeaderTypeError

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
PRINTABLE = ''.join(map(chr, range(0x20, 0x7F)))
RESERVED = re.compile(r'(nats-|walnats-).*|status', re.IGNORECASE)

names = st.text(TOKEN, min_size=1).filter(lambda name: not RESERVED.fullmatch(name))
values = st.text(PRINTABLE).filter(lambda value: value == value.strip(' '))
metas = st.dictionaries(names, values).filter(
    lambda meta: len({name.lower() for name in meta}) == len(meta)
)


def build(
    uid: str | None = None,
    trace_id: str | None = None,
    due: float | None = None,
    meta: CloudEvent | Mapping[str, str] | None = None,
    reply: str | None = None,
) -> dict[str, str] | None:
    return build_headers(uid=uid, trace_id=trace_id, due=due, meta=meta, reply=reply)


def on_the_wire(headers: Mapping[str, str]) -> bytes:
    lines = ['NATS/1.0', *(f'{name}: {value}' for name, value in headers.items()), '']
    return ''.join(line + '\r\n' for line in lines).encode()


@pytest.mark.parametrize('meta', [None, {}])
def test_nothing_gives_no_headers(meta: dict[str, str] | None) -> None:
    assert build(meta=meta) is None


def test_each_argument_has_its_header() -> None:
    assert build('u', 't', 1706702400.25, {'X-A': 'b'}, '_INBOX.a.b') == {
        'Nats-Msg-Id': 'u',
        'Walnats-Trace': 't',
        'Walnats-Delay': '1706702400.250000',
        'X-A': 'b',
        'Walnats-Reply': '_INBOX.a.b',
    }


@given(st.floats(0, 4e9))
def test_due_is_decimal_and_precise_to_a_microsecond(due: float) -> None:
    headers = build(due=due)
    assert headers is not None
    assert re.fullmatch(r'[0-9]+\.[0-9]{6}', headers['Walnats-Delay'])
    assert abs(float(headers['Walnats-Delay']) - due) <= 1e-6


@given(metas, st.none() | values.filter(bool), st.none() | values.filter(bool))
def test_what_is_safe_is_sent_as_it_is(
    meta: dict[str, str], uid: str | None, trace_id: str | None
) -> None:
    before = list(meta.items())
    headers = build(uid, trace_id, meta=meta)
    expected = {**meta, 'Nats-Msg-Id': uid, 'Walnats-Trace': trace_id}
    assert headers == ({key: value for key, value in expected.items() if value is not None} or None)
    assert list(meta.items()) == before
    assert headers is not meta


@given(st.dictionaries(st.text(), st.text()), st.none() | st.text(), st.none() | st.text())
@example({'a': 'b\r\nNats-Rollup: all'}, None, None)
def test_what_gets_through_is_read_back_as_it_was(
    meta: dict[str, str], uid: str | None, trace_id: str | None
) -> None:
    try:
        headers = build(uid, trace_id, meta=meta)
    except HeaderError:
        return
    if headers is None:
        return
    first, *lines, end, rest = on_the_wire(headers).decode('ascii').split('\r\n')
    assert (first, end, rest) == ('NATS/1.0', '', '')
    read = dict(line.split(':', 1) for line in lines)
    assert {name: value.strip() for name, value in read.items()} == headers


def test_an_empty_value_in_meta_is_sent() -> None:
    assert build(meta={'X-A': ''}) == {'X-A': ''}


def test_an_empty_id_is_refused() -> None:
    with pytest.raises(HeaderError, match=r'^uid must not be empty: leave it out'):
        build(uid='')
    with pytest.raises(HeaderError, match=r'^trace_id must not be empty: leave it out'):
        build(trace_id='')


@pytest.mark.parametrize(
    'name', ['', ' ', 'a b', 'a:', 'a\n', 'a\0', 'é', '\u212a', 'a/b', '(a)', '\ud800']
)
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    with pytest.raises(HeaderError, match=r'^header name '):
        build(meta={name: 'b'})


BAD_VALUES = {
    'a\nb': "must have no line separator, it has '\\n' at index 1",
    'a\rb': "must have no line separator, it has '\\r' at index 1",
    'a\x85b': "must have no line separator, it has '\\x85' at index 1",
    'a\u2028b': "must have no line separator, it has '\\u2028' at index 1",
    'a\u2029b': "must have no line separator, it has '\\u2029' at index 1",
    'a\vb': "must have no line separator, it has '\\x0b' at index 1",
    'a\0b': "must have no NUL, it has '\\x00' at index 1",
    'a\tb': "must have no control character, it has '\\t' at index 1",
    'a\x7fb': "must have no control character, it has '\\x7f' at index 1",
    'a\x9fb': "must have no control character, it has '\\x9f' at index 1",
    'a\ud800b': "must have no surrogate, it has '\\ud800' at index 1",
    'aéb': "must have no non-ASCII character, it has 'é' at index 1 (percent-encode it",
    ' a': 'must not start or end with a space',
    'a ': 'must not start or end with a space',
    ' ': 'must not start or end with a space',
    'a\n': "must have no line separator, it has '\\n' at index 1",
}


@pytest.mark.parametrize(('value', 'reason'), BAD_VALUES.items())
def test_an_unsafe_value_is_refused_with_its_reason(value: str, reason: str) -> None:
    with pytest.raises(HeaderError, match='^' + re.escape(f"header 'X-A': its value {reason}")):
        build(meta={'X-A': value})
    with pytest.raises(HeaderError, match='^' + re.escape(f'uid {reason}')):
        build(uid=value)
    with pytest.raises(HeaderError, match='^' + re.escape(f'trace_id {reason}')):
        build(trace_id=value)


@pytest.mark.parametrize('value', [1, b'a', None, ['a'], 1.5, True])
def test_a_value_is_a_string(value: Any) -> None:
    kind = type(value).__name__
    with pytest.raises(
        HeaderTypeError, match=f"^header 'X-A': its value must be a string, not {kind}"
    ):
        build(meta={'X-A': value})
    if value is not None:
        with pytest.raises(HeaderTypeError, match=f'^uid must be a string, not {kind}'):
            build(uid=value)
        with pytest.raises(HeaderTypeError, match=f'^trace_id must be a string, not {kind}'):
            build(trace_id=value)


@pytest.mark.parametrize('name', [1, b'a', None, ('a', 'b')])
def test_a_name_is_a_string(name: Any) -> None:
    kind = type(name).__name__
    with pytest.raises(HeaderTypeError, match=f'^header name must be a string, not {kind}'):
        build(meta={name: 'a'})


@pytest.mark.parametrize('meta', ['a', b'a', 1, [('a', 'b')], {'a'}])
def test_meta_is_a_mapping_or_a_cloud_event(meta: Any) -> None:
    with pytest.raises(
        HeaderTypeError, match=r'^meta must be a CloudEvent or a dict of headers, not'
    ):
        build(meta=meta)


@pytest.mark.parametrize(
    ('name', 'remedy'),
    [
        ('Nats-Msg-Id', "use the argument 'uid'"),
        ('nats-msg-id', "use the argument 'uid'"),
        ('Walnats-Trace', "use the argument 'trace_id'"),
        ('WALNATS-DELAY', "use the argument 'delay'"),
        ('Walnats-Reply', 'walnats sets these itself'),
        ('walnats-', 'walnats sets these itself'),
        ('Status', 'clients would take the message for one of the server'),
        ('STATUS', 'clients would take the message for one of the server'),
        ('Nats-Rollup', 'the NATS server obeys these; only Nats-Expected-Stream may be set'),
        ('NATS-TTL', 'the NATS server obeys these; only Nats-Expected-Stream may be set'),
        ('Nats-Trace-Dest', 'the NATS server obeys these; only Nats-Expected-Stream may be set'),
        (
            'Nats-Expected-Last-Sequence',
            'the NATS server obeys these; only Nats-Expected-Stream may be set',
        ),
        (
            'nats-expected-stream',
            'the NATS server obeys these; only Nats-Expected-Stream may be set, spelled so',
        ),
        ('Nats-', 'the NATS server obeys these; only Nats-Expected-Stream may be set'),
    ],
)
def test_a_reserved_name_is_refused_with_what_to_do(name: str, remedy: str) -> None:
    with pytest.raises(HeaderError, match=f"^header name '{name}' is reserved: {remedy}"):
        build(meta={name: 'a'})


@pytest.mark.parametrize(
    'name', ['Nats-Expected-Stream', 'Nats', 'Walnats', 'Statuses', 'X-Nats-A', 'ce-id']
)
def test_other_names_may_be_sent(name: str) -> None:
    assert build(meta={name: 'a'}) == {name: 'a'}


def test_two_spellings_of_a_name_are_refused() -> None:
    with pytest.raises(HeaderError, match=r"^header name 'x-a' is there twice, also as 'X-A'"):
        build(meta={'X-A': '1', 'x-a': '1'})


@given(st.text(min_size=1))
def test_errors_show_little_of_what_is_long(text: str) -> None:
    for meta in ({'X-A': text * 100_000 + '\n'}, {text * 100_000 + '\n': 'a'}):
        with pytest.raises(HeaderError) as caught:
            build(meta=meta)
        assert len(str(caught.value)) < 700


def test_errors_show_no_long_value() -> None:
    with pytest.raises(HeaderError, match='it is 1003 characters long') as caught:
        build(meta={'Authorization': 'secret' * 167 + '\n'})
    assert 'secret' not in str(caught.value)


def test_checking_takes_time_in_proportion() -> None:
    with pytest.raises(HeaderError, match='must not start or end with a space'):
        build(meta={'X-A': 'a ' * 1_000_000})


def test_a_cloud_event_gives_its_headers_and_its_id_as_uid() -> None:
    event = CloudEvent('a-1', '/orders', 'paid', subject='n° 5')
    assert build(meta=event) == {**event.as_headers(), 'Nats-Msg-Id': 'a-1'}


def test_a_cloud_event_goes_with_uid_and_trace_id() -> None:
    event = CloudEvent('a-1', '/orders', 'paid')
    assert build('u', 't', meta=event) == {
        **event.as_headers(),
        'Nats-Msg-Id': 'u',
        'Walnats-Trace': 't',
    }


def test_the_id_of_a_plain_dict_is_no_uid() -> None:
    headers = CloudEvent('a-1', '/orders', 'paid').as_headers()
    assert build(meta=headers) == headers


@pytest.mark.parametrize(
    ('event_id', 'uid'),
    [
        ('a b"c', 'a b"c'),
        ('é', '%C3%A9'),
        (' a', '%20a'),
        ('%C3%A9', '%25C3%25A9'),
        ('50%', '50%25'),
    ],
)
def test_an_id_that_no_header_holds_is_encoded_as_uid(event_id: str, uid: str) -> None:
    headers = build(meta=CloudEvent(event_id, '/a', 'b'))
    assert headers is not None
    assert headers['Nats-Msg-Id'] == uid


@given(st.text('aA% 2é"0C9', min_size=1), st.text('aA% 2é"0C9', min_size=1))
@example('é', '%C3%A9')
@example(' a', '%20a')
def test_two_ids_never_give_one_uid(one: str, other: str) -> None:
    first, second = (build(meta=CloudEvent(event_id, '/a', 'b')) for event_id in (one, other))
    assert first is not None
    assert second is not None
    check_value('uid', first['Nats-Msg-Id'])
    assert (first['Nats-Msg-Id'] == second['Nats-Msg-Id']) == (one == other)


@given(st.dictionaries(st.text('aé€😀'), st.text('aé€😀')))
def test_headers_size_is_what_they_take_on_the_wire(headers: dict[str, str]) -> None:
    assert headers_size(headers) == len(on_the_wire(headers))


def test_no_headers_take_nothing() -> None:
    assert headers_size(None) == 0


def test_republished_headers_drop_what_was_meant_for_the_first_copy() -> None:
    headers = {
        'Nats-Msg-Id': '1',
        'nats-expected-stream': 'a',
        'NATS-ROLLUP': 'all',
        'Walnats-Delay': '1',
        'walnats-reply': '_INBOX.a',
        'Status': '503',
        'Walnats-Trace': 't',
        'Walnats-Error': 'e',
        'traceparent': 'p',
        'ce-id': '1',
        'X-A': 'é',
        'a/b': 'no token: nats-py would not send it',
    }
    before = dict(headers)
    assert republished_headers(headers) == {
        'Walnats-Trace': 't',
        'Walnats-Error': 'e',
        'traceparent': 'p',
        'ce-id': '1',
        'X-A': 'é',
    }
    assert headers == before


def test_republished_headers_of_none_are_a_new_dict() -> None:
    assert republished_headers(None) == {}
    assert republished_headers(None) is not republished_headers(None)


@given(names, values)
def test_check_header_passes_what_is_safe(name: str, value: str) -> None:
    check_header(name, value)
    check_id('uid', value or 'a')
