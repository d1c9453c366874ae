"""The settings of streams and consumers: what is wanted, how it differs, what is sent."""

from __future__ import annotations

import copy
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings as run_with, strategies as st

from walnats import (
    Actor,
    DeadLetters,
    Discard,
    Event,
    Limits,
    Medium,
    Retention,
    Start,
    Storage,
)
from walnats._jetstream import settings

# A busy machine is no failure.
unhurried = run_with(deadline=None)


NS = 10**9


def handle(message: str) -> None:
    pass


# --- Strategies --------------------------------------------------------------

positive = st.integers(1, 2**31 - 1)
seconds = st.floats(0.1, 10**6)
limits = st.builds(
    Limits,
    age=st.none() | seconds,
    consumers=st.none() | positive,
    messages=st.none() | positive,
    bytes=st.none() | positive,
    message_size=st.none() | positive,
)
storages = st.builds(
    Storage,
    retention=st.sampled_from(Retention),
    medium=st.sampled_from(Medium),
    replicas=st.integers(1, 5),
    discard=st.sampled_from(Discard),
    compression=st.booleans(),
    dedup_window=seconds,
)
texts = st.none() | st.text(st.characters(codec='utf-8'), max_size=20)
names = st.from_regex(r'[a-z]{1,5}([.-][a-z]{1,5}){0,2}', fullmatch=True)
events = st.builds(Event, names, st.just(str), description=texts, limits=limits, storage=storages)
actors = st.builds(
    Actor,
    st.from_regex('[a-z]{1,9}', fullmatch=True),
    events,
    st.just(handle),
    description=texts,
    ack_wait=seconds,
    max_ack_pending=positive,
    start=st.sampled_from(Start) | st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)),  # noqa: DTZ001 -- naive ones are allowed
)
# What an operator may have set besides. No key of ours is among them.
foreign = st.dictionaries(
    st.sampled_from(['metadata', 'allow_direct', 'deny_delete', 'placement', 'unheard_of']),
    st.none() | st.booleans() | st.integers() | st.lists(st.integers()),
)


def as_the_server_gives_it(config: Any) -> Any:
    """Through JSON, and without what the server leaves out: empty values."""
    given: dict[str, Any] = json.loads(json.dumps(config))
    return {key: value for key, value in given.items() if value not in ('', [], None, False)}


# --- Nothing differs ---------------------------------------------------------


@unhurried
@given(events, foreign)
def test_stream_as_declared_differs_in_nothing(event: Event[str], more: dict[str, Any]) -> None:
    wanted = settings.event_stream(event)
    assert settings.stream_differences({**as_the_server_gives_it(wanted), **more}, wanted) == []


@unhurried
@given(actors, foreign)
def test_consumer_as_declared_differs_in_nothing(
    actor: Actor[str, Any], more: dict[str, Any]
) -> None:
    wanted = settings.actor_consumer(actor)
    assert settings.consumer_differences({**as_the_server_gives_it(wanted), **more}, wanted) == []


# --- What differs is changed, and nothing else -------------------------------


@unhurried
@given(events, events, foreign)
def test_changed_stream_is_as_declared(
    old: Event[str], new: Event[str], more: dict[str, Any]
) -> None:
    current = {**as_the_server_gives_it(settings.event_stream(old)), **more}
    before = copy.deepcopy(current)
    wanted = settings.event_stream(new)
    differences = settings.stream_differences(current, wanted)
    changed = settings.changed(current, differences)
    assert current == before
    assert settings.stream_differences(changed, wanted) == []
    assert {key: changed[key] for key in more} == more
    touched = {difference.key for difference in differences}
    assert {k: v for k, v in changed.items() if k not in touched} == {
        k: v for k, v in current.items() if k not in touched
    }
    assert set(current['subjects']) <= set(changed['subjects'])
    assert all(difference.old != difference.new for difference in differences)


@unhurried
@given(actors, actors, foreign)
def test_changed_consumer_is_as_declared(
    old: Actor[str, Any], new: Actor[str, Any], more: dict[str, Any]
) -> None:
    current = {**as_the_server_gives_it(settings.actor_consumer(old)), **more}
    before = copy.deepcopy(current)
    wanted = settings.actor_consumer(new)
    changed = settings.changed(current, settings.consumer_differences(current, wanted))
    assert current == before
    assert settings.consumer_differences(changed, wanted) == []
    assert {key: changed[key] for key in more} == more
    assert changed['filter_subjects'] == wanted['filter_subjects']
    assert 'filter_subject' not in changed


def test_single_filter_gives_way_to_ours() -> None:
    wanted = settings.actor_consumer(Actor('a', Event('created', str), handle))
    current = {**wanted, 'filter_subject': 'created'}
    del current['filter_subjects']
    changed = settings.changed(current, settings.consumer_differences(current, wanted))
    assert changed['filter_subjects'] == ['created', 'walnats.to.created.a']
    assert 'filter_subject' not in changed


def test_single_filter_stays_where_something_else_differs() -> None:
    """It can't be ours, which are two; still, both at once would be refused."""
    current = {'filter_subject': 'created', 'description': 'x'}
    changed = settings.changed(current, [settings.Difference('description', 'd', 'x', 'y')])
    assert changed == {'filter_subject': 'created', 'description': 'y'}


def test_difference_as_text() -> None:
    old = Event('created', str, limits=Limits(age=60))
    wanted = settings.event_stream(Event('created', str, limits=Limits(messages=5)))
    differences = settings.stream_differences(settings.event_stream(old), wanted)
    assert list(map(str, differences)) == [
        'limits.age (ns): 60000000000 → 0',
        'limits.messages: -1 → 5',
        'storage.dedup_window (ns): 60000000000 → 120000000000',
    ]


# --- What is wanted ----------------------------------------------------------


@pytest.mark.parametrize(
    ('age', 'window', 'expected'),
    [
        (None, 120, 120),
        (60, 120, 60),
        (120, 60, 60),
        (0.1, 120, 0.1),
        (None, 0.1, 0.1),
    ],
)
def test_age_caps_the_dedup_window(age: float | None, window: float, expected: float) -> None:
    event = Event('x', str, limits=Limits(age=age), storage=Storage(dedup_window=window))
    assert settings.event_stream(event)['duplicate_window'] == expected * NS


@unhurried
@given(events)
def test_window_is_never_longer_than_the_age(event: Event[str]) -> None:
    stream = settings.event_stream(event)
    assert stream['max_age'] == 0 or stream['duplicate_window'] <= stream['max_age']


def test_stream_of_dead_letters() -> None:
    stream = settings.dead_stream(DeadLetters())
    assert stream['name'] == 'walnats-dead'
    assert stream['subjects'] == ['walnats.dead.>']


def test_new_consumer_has_its_name() -> None:
    wanted = settings.actor_consumer(Actor('a', Event('created', str), handle))
    new = settings.new_consumer('a', wanted)
    assert (new['name'], new['durable_name']) == ('a', 'a')
    assert new['max_waiting'] >= 1024
    assert 'max_waiting' not in wanted


@pytest.mark.parametrize(
    ('moment', 'expected'),
    [
        (datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), '2024-01-02T03:04:05Z'),
        (datetime(2024, 1, 2, 3, 4, 50, tzinfo=UTC), '2024-01-02T03:04:50Z'),
        (datetime(2024, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC), '2024-01-02T03:04:05.6Z'),
        (datetime(2024, 1, 2, 3, 4, 5, 1, tzinfo=UTC), '2024-01-02T03:04:05.000001Z'),
        (
            datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=-5))),
            '2024-01-02T08:04:05Z',
        ),
        (datetime(2024, 1, 2, 3, 4, 5), '2024-01-02T03:04:05Z'),  # noqa: DTZ001 -- it is UTC
    ],
)
def test_moment_of_the_start(moment: datetime, expected: str) -> None:
    actor = Actor('a', Event('created', str), handle, start=moment)
    consumer = settings.actor_consumer(actor)
    assert consumer['opt_start_time'] == expected
    assert consumer['deliver_policy'] == 'by_start_time'


# --- Which subjects a stream takes -------------------------------------------


@pytest.mark.parametrize(
    ('pattern', 'subject', 'expected'),
    [
        ('a', 'a', True),
        ('a', 'b', False),
        ('a', 'A', False),
        ('a', 'a.b', False),
        ('a.b', 'a', False),
        ('*', 'a', True),
        ('*', 'a.b', False),
        ('a.*', 'a', False),
        ('a.*', 'a.b', True),
        ('a.*', 'a.b.c', False),
        ('a.*.c', 'a.b.c', True),
        ('a.*.c', 'a.b.d', False),
        ('>', 'a', True),
        ('>', 'a.b', True),
        ('a.>', 'a', False),
        ('a.>', 'a.b', True),
        ('a.>', 'a.b.c', True),
        ('a.>', 'b.c', False),
        ('*.>', 'a', False),
        ('*.>', 'a.b', True),
        ('a.*.>', 'a.b', False),
        ('a.*.>', 'a.b.c', True),
        # A subject may itself have a wildcard: all it stands for must be covered.
        ('walnats.to.x.*', 'walnats.to.x.*', True),
        ('walnats.to.>', 'walnats.to.x.*', True),
        ('walnats.*.x.*', 'walnats.to.x.*', True),
        ('walnats.to.x.one', 'walnats.to.x.*', False),
        ('walnats.*', 'walnats.>', False),
        ('walnats.>', 'walnats.>', True),
        ('*.*', '*.>', False),
    ],
)
def test_takes(pattern: str, subject: str, *, expected: bool) -> None:
    assert settings.takes([pattern], subject) is expected
    assert settings.takes(['other', pattern], subject) is expected


def test_no_subjects_take_nothing() -> None:
    assert not settings.takes([], 'a')


tokens = st.lists(st.sampled_from(['a', 'b', '*']), min_size=1, max_size=3)


@unhurried
@given(
    pattern=tokens,
    subject=st.lists(st.sampled_from(['a', 'b']), min_size=1, max_size=4),
    more=st.booleans(),
)
def test_takes_is_as_a_regular_expression_says(
    pattern: list[str], subject: list[str], *, more: bool
) -> None:
    expression = r'\.'.join('[^.]+' if token == '*' else token for token in pattern)
    if more:
        pattern, expression = [*pattern, '>'], expression + r'(\.[^.]+)+'
    expected = re.fullmatch(expression, '.'.join(subject)) is not None
    assert settings.takes(['.'.join(pattern)], '.'.join(subject)) is expected
