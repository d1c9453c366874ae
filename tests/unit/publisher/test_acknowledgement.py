"""Reading what comes as the answer to a message, from whomever it comes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given, strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg

from walnats import JetStreamError, MaxPayloadError, NotConfirmedError, StreamFullError
from walnats._jetstream.publish import read_ack, refusal

if TYPE_CHECKING:
    from walnats import WalnatsError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
)


def answer(data: bytes, headers: dict[str, str] | None = None) -> Msg:
    return Msg(Client(), subject='_INBOX.x', data=data, headers=headers)


def error_of(data: bytes, headers: dict[str, str] | None = None) -> WalnatsError | None:
    error = read_ack(answer(data, headers)).error
    return (
        None if error is None else refusal('placed', 'placed-stream', {'Nats-Msg-Id': 'a'}, error)
    )


def refused(**error: Any) -> WalnatsError | None:
    return error_of(json.dumps({'type': 'x', 'error': error}).encode())


def test_stored() -> None:
    ack = read_ack(answer(b'{"stream":"placed","seq":7,"domain":"d"}'))
    assert (ack.stream, ack.seq, ack.duplicate, ack.error) == ('placed', 7, False, None)


def test_known_already() -> None:
    assert read_ack(answer(b'{"stream":"placed","seq":7,"duplicate":true}')).duplicate


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_whatever_else_it_is_the_message_may_have_been_stored(data: bytes) -> None:
    error = error_of(data)
    assert isinstance(error, NotConfirmedError)
    assert "event 'placed'" in str(error)
    assert "the message may have been stored, retry with uid 'a'" in str(error)


@given(st.integers(400, 599), st.integers(1, 9999), st.text())
def test_a_refusal_has_the_words_of_the_server(code: int, err_code: int, words: str) -> None:
    error = refused(code=code, err_code=err_code, description=words)
    assert error is not None
    assert str(error).startswith("event 'placed': the message is not stored: ")
    assert type(error) is JetStreamError
    assert words in str(error)
    assert (error.code, error.err_code, error.description) == (code, err_code, words)


def test_an_earlier_copy_is_being_stored() -> None:
    """By a cluster; with the outage in between nobody knows how that ends."""
    error = refused(code=409, err_code=10158, description='duplicate message id is in process')
    assert isinstance(error, NotConfirmedError)
    assert 'is in process; the message may have been stored' in str(error)


def test_kinds_of_refusals() -> None:
    full = refused(code=503, err_code=10077, description='maximum messages exceeded')
    assert isinstance(full, StreamFullError)
    no_room = refused(code=503, err_code=10047, description='insufficient storage')
    assert isinstance(no_room, StreamFullError)
    broken = refused(code=503, err_code=10077, description='no space left on device')
    assert type(broken) is JetStreamError
    assert isinstance(refused(code=400, err_code=10054), MaxPayloadError)
