"""The options of a connection, and the wait before a reconnect."""

from __future__ import annotations

import inspect
from typing import Any
from urllib.parse import urlparse

from hypothesis import given, settings as run_with, strategies as st
from nats.aio.client import Client, Server

from walnats._jetstream.options import ConnectOptions, Reconnector, checked

# A busy machine is no failure.
unhurried = run_with(deadline=None)


def servers(count: int) -> list[Server]:
    return [Server(urlparse(f'nats://host:{port}')) for port in range(1, count + 1)]


# --- Defaults ----------------------------------------------------------------


def test_defaults() -> None:
    options: Any = checked({})
    assert options['max_reconnect_attempts'] == -1
    assert options['ping_interval'] == 5
    assert isinstance(options['reconnect_to_server_handler'], Reconnector)


def test_what_is_given_wins() -> None:
    given_options: ConnectOptions = {'max_reconnect_attempts': 3, 'ping_interval': 1, 'name': 'x'}
    options = checked(given_options)
    assert {**options, **given_options} == options
    assert given_options.keys() == {'max_reconnect_attempts', 'ping_interval', 'name'}


def test_time_wait_is_an_alternative_to_the_reconnector() -> None:
    assert 'reconnect_to_server_handler' not in checked({'reconnect_time_wait': 1})


def test_every_option_is_one_of_nats_py() -> None:
    known = inspect.signature(Client.connect).parameters.keys()
    assert known >= ConnectOptions.__optional_keys__
    left_out = {
        'self',
        'servers',
        'pedantic',
        'verbose',
        'drain_timeout',
        'skip_subject_validation',
    }
    assert known - ConnectOptions.__optional_keys__ == left_out


# --- The wait ----------------------------------------------------------------


@unhurried
@given(st.integers(1, 5), st.integers(0, 50))
def test_waits_are_short_at_first_and_bounded(count: int, attempts: int) -> None:
    reconnector = Reconnector(None)
    waits = [reconnector(servers(count), {})[1] for _ in range(count + attempts)]
    assert all(0 <= wait <= 0.5 for wait in waits[:count])
    assert all(0 <= wait <= 2 for wait in waits)


def test_waits_differ_and_grow() -> None:
    first = [Reconnector(None)(servers(1), {})[1] for _ in range(200)]
    assert max(first) > 0.4
    assert min(first) < 0.1
    reconnector = Reconnector(None)
    late = [reconnector(servers(1), {})[1] for _ in range(200)]
    assert max(late) > 1.8


@unhurried
@given(st.integers(1, 5))
def test_servers_take_turns(count: int) -> None:
    reconnector = Reconnector(None)
    pool = servers(count)
    chosen = [reconnector(pool, {})[0] for _ in range(3 * count)]
    assert chosen == pool * 3


def test_after_a_reset_waits_are_short_again() -> None:
    reconnector = Reconnector(None)
    for _ in range(100):
        reconnector(servers(1), {})
    reconnector.reset()
    assert reconnector(servers(1), {})[1] <= 0.5


def test_handler_of_the_user_is_asked_first() -> None:
    pool = servers(2)

    def choose(given_servers: list[Server], info: dict[str, Any]) -> tuple[Server | None, float]:
        assert info == {'version': '1'}
        return given_servers[1], 7

    assert Reconnector(choose)(pool, {'version': '1'}) == (pool[1], 7)
