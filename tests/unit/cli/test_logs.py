"""How log records are written."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from hypothesis import given, strategies as st

from walnats.cli._logs import JsonFormatter, TextFormatter

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.tuples(st.integers()), inner),
    max_leaves=5,
)


def make_record(message: str, **extra: Any) -> logging.LogRecord:
    logger = logging.Logger('shop')  # noqa: LOG001 -- only its records are wanted
    return logger.makeRecord('shop', logging.INFO, 'a.py', 1, message, (), None, extra=extra)


@given(st.text(), ANYTHING)
def test_json_is_always_one_object_in_one_line(message: str, value: Any) -> None:
    line = JsonFormatter(3).format(make_record(message, value=value))
    assert line.isascii()
    assert '\n' not in line
    found = json.loads(line, parse_constant=lambda name: 1 / 0)
    assert found['message'] == message
    assert (found['level'], found['logger'], found['worker']) == ('info', 'shop', 3)
    assert 'value' in found


def test_json_keeps_what_it_can() -> None:
    circle: list[Any] = []
    circle.append(circle)
    record = make_record('hello', one=1, two={'a': [None]}, circle=circle, kind=int)
    found = json.loads(JsonFormatter(None).format(record))
    assert (found['one'], found['two']) == (1, {'a': [None]})
    assert (found['circle'], found['kind']) == ('[[...]]', "<class 'int'>")
    assert 'worker' not in found
    assert found['time'].endswith('Z')


def test_json_has_the_traceback() -> None:
    record = make_record('hello')
    try:
        raise ValueError('why')
    except ValueError:
        record.exc_info = sys.exc_info()
    found = json.loads(JsonFormatter(None).format(record))
    assert found['exception'].startswith('Traceback')
    assert found['exception'].endswith('ValueError: why')


def test_text_names_the_worker() -> None:
    line = TextFormatter(2, has_colours=False).format(make_record('100 % done'))
    assert line.endswith('Z INFO    [2] shop: 100 % done')
    line = TextFormatter(None, has_colours=True).format(make_record('done'))
    assert line.endswith('\x1b[32mINFO   \x1b[0m shop: done')
