from __future__ import annotations

from typing import TYPE_CHECKING

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from walnats.middlewares import PrometheusMiddleware

if TYPE_CHECKING:
    from tests.unit.middlewares.conftest import Jobs


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def read(registry: CollectorRegistry) -> dict[tuple[str, str, str, str], float]:
    """Read what Prometheus would read, as (name, event, actor, exception): value."""
    text = generate_latest(registry).decode()
    return {
        (s.name, s.labels['event'], s.labels['actor'], s.labels.get('exception', '')): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
        if not s.name.endswith(('_created', '_bucket'))
    }


async def test_jobs_are_counted(make_jobs: type[Jobs], registry: CollectorRegistry) -> None:
    jobs = make_jobs(PrometheusMiddleware(registry=registry))
    await jobs.run()
    await jobs.run()
    await jobs.fail(ValueError('x'))
    await jobs.fail_to_decode(KeyError('x'))
    await jobs.run(actor='other', event='gone')
    assert read(registry) == {
        ('walnats_jobs_started_total', 'user.created', 'greet', ''): 3,
        ('walnats_jobs_started_total', 'gone', 'other', ''): 1,
        ('walnats_jobs_processed_total', 'user.created', 'greet', ''): 2,
        ('walnats_jobs_processed_total', 'gone', 'other', ''): 1,
        ('walnats_jobs_failed_total', 'user.created', 'greet', 'ValueError'): 1,
        ('walnats_jobs_failed_total', 'user.created', 'greet', 'KeyError'): 1,
        ('walnats_job_duration_seconds_count', 'user.created', 'greet', ''): 2,
        ('walnats_job_duration_seconds_count', 'gone', 'other', ''): 1,
        ('walnats_job_duration_seconds_sum', 'user.created', 'greet', ''): 0.5,
        ('walnats_job_duration_seconds_sum', 'gone', 'other', ''): 0.25,
    }


async def test_the_exposition_text(make_jobs: type[Jobs], registry: CollectorRegistry) -> None:
    await make_jobs(PrometheusMiddleware(registry=registry)).run()
    lines = generate_latest(registry).decode().splitlines()
    labels = 'actor="greet",event="user.created"'
    assert '# TYPE walnats_jobs_started_total counter' in lines
    assert f'walnats_jobs_started_total{{{labels}}} 1.0' in lines
    assert '# TYPE walnats_job_duration_seconds histogram' in lines
    bucket = f'walnats_job_duration_seconds_bucket{{{labels},le="%s"}}'
    assert f'{bucket % "0.1"} 0.0' in lines
    assert f'{bucket % "0.25"} 1.0' in lines
    assert f'{bucket % "60.0"} 1.0' in lines


async def test_instances_share_the_metrics_of_a_registry(
    make_jobs: type[Jobs], registry: CollectorRegistry
) -> None:
    await make_jobs(PrometheusMiddleware(registry=registry)).run()
    await make_jobs(PrometheusMiddleware(registry=registry)).run()
    counted = read(registry)
    assert counted['walnats_jobs_started_total', 'user.created', 'greet', ''] == 2


async def test_registries_are_apart(make_jobs: type[Jobs], registry: CollectorRegistry) -> None:
    PrometheusMiddleware(registry=registry)
    await make_jobs(PrometheusMiddleware(registry=CollectorRegistry())).run()
    assert read(registry) == {}


async def test_by_default_it_is_the_registry_of_the_package(make_jobs: type[Jobs]) -> None:
    await make_jobs(PrometheusMiddleware()).run(event='by-default')
    labels = {'event': 'by-default', 'actor': 'greet'}
    value = prometheus_client.REGISTRY.get_sample_value('walnats_jobs_started_total', labels)
    assert value == 1
