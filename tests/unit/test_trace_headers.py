from __future__ import annotations

import subprocess
import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from walnats._cloud_event import CloudEvent
from walnats._publisher.headers import build_headers

PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
TRACER = TracerProvider().get_tracer('test')
PROPAGATOR = TraceContextTextMapPropagator()


def build(meta: CloudEvent | dict[str, str] | None = None) -> dict[str, str] | None:
    return build_headers(uid=None, trace_id=None, due=None, meta=meta)


def test_a_span_gives_the_headers_that_the_official_propagator_gives() -> None:
    with TRACER.start_as_current_span('emit'):
        expected: dict[str, str] = {}
        PROPAGATOR.inject(expected)
        assert set(expected) == {'traceparent'}
        assert build() == expected


def test_the_trace_state_of_the_parent_goes_on() -> None:
    parent = PROPAGATOR.extract({'traceparent': PARENT, 'tracestate': 'a=b,c@d=e'})
    with TRACER.start_as_current_span('emit', context=parent) as span:
        span_id = span.get_span_context().span_id
        assert build() == {
            'traceparent': f'{PARENT[:36]}{span_id:016x}-{PARENT[-2:]}',
            'tracestate': 'a=b,c@d=e',
        }


def test_it_comes_beside_the_other_headers_and_leaves_meta_alone() -> None:
    meta = {'X-A': 'b'}
    with TRACER.start_as_current_span('emit'):
        headers = build(meta)
    assert headers is not None
    assert set(headers) == {'X-A', 'traceparent'}
    assert meta == {'X-A': 'b'}


@pytest.mark.parametrize('name', ['traceparent', 'TraceParent'])
def test_a_trace_parent_in_meta_wins_whole(name: str) -> None:
    parent = PROPAGATOR.extract({'traceparent': PARENT, 'tracestate': 'a=b'})
    with TRACER.start_as_current_span('emit', context=parent):
        assert build({name: 'mine'}) == {name: 'mine'}


def test_a_trace_state_in_meta_wins() -> None:
    parent = PROPAGATOR.extract({'traceparent': PARENT, 'tracestate': 'a=b'})
    with TRACER.start_as_current_span('emit', context=parent):
        headers = build({'TraceState': 'c=d'})
    assert headers is not None
    assert headers.pop('traceparent').startswith(PARENT[:36])
    assert headers == {'TraceState': 'c=d'}


def test_the_trace_parent_of_a_cloud_event_is_another_one() -> None:
    with TRACER.start_as_current_span('emit') as span:
        headers = build(CloudEvent('1', '/a', 'b', traceparent=PARENT))
    assert headers is not None
    assert headers['ce-traceparent'] == PARENT
    assert f'{span.get_span_context().span_id:016x}' in headers['traceparent']


def test_without_a_span_there_are_no_headers() -> None:
    assert build() is None


def test_a_span_that_is_not_recording_gives_none() -> None:
    tracer = TracerProvider(sampler=ALWAYS_OFF).get_tracer('test')
    with tracer.start_as_current_span('emit'):
        assert build() is None
    remote = PROPAGATOR.extract({'traceparent': PARENT})
    with trace.use_span(trace.get_current_span(remote)):
        assert build() is None


def test_a_span_that_has_ended_gives_none() -> None:
    with TRACER.start_as_current_span('emit') as span:
        span.end()
        assert build() is None


def test_a_span_without_a_valid_context_gives_none() -> None:
    class Recording(trace.NonRecordingSpan):
        def is_recording(self) -> bool:
            return True

    with trace.use_span(Recording(trace.INVALID_SPAN_CONTEXT)):
        assert build() is None


def test_opentelemetry_is_never_imported_for_it() -> None:
    code = """
import sys
from walnats._publisher.headers import build_headers
assert build_headers(uid='a', trace_id=None, due=None, meta=None) == {'Nats-Msg-Id': 'a'}
print([name for name in sys.modules if name.startswith('opentelemetry')])
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'
