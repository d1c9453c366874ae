"""Health and metrics of `walnats run`, by HTTP."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from tests.acceptance.cli.running import BETWEEN_SIGNALS, SERVICE

import walnats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.acceptance.cli.running import Running, Service

TARGET = 'service:ACTORS'
HEALTH = ('--health-port', '0')


class Health:
    """Asks for the health of a command."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._url = ''

    async def find(self, running: Running) -> None:
        self._url = (await running.expect(r'health and metrics: (http://127.0.0.1:\d+)$'))[1]

    async def ask(self, path: str) -> tuple[int, list[str]]:
        async with self._session.get(f'{self._url}/{path}') as answer:
            body: dict[str, Any] = await answer.json()
            assert body['ok'] is (answer.status == 200)
            return answer.status, body['problems']

    async def wait_for(self, path: str, status: int, seconds: float = 15) -> list[str]:
        async with asyncio.timeout(seconds):
            while True:
                found, problems = await self.ask(path)
                if found == status:
                    return problems
                await asyncio.sleep(0.02)

    async def metrics(self) -> dict[str, float]:
        async with self._session.get(f'{self._url}/metrics') as answer:
            assert answer.status == 200
            assert answer.headers['Content-Type'].startswith('text/plain; version=0.0.4')
            lines = (await answer.text()).splitlines()
        pairs = (line.rsplit(' ', 1) for line in lines if not line.startswith('#'))
        return {name: float(value) for name, value in pairs}


@pytest.fixture
async def health() -> AsyncIterator[Health]:
    async with aiohttp.ClientSession() as session:
        yield Health(session)


async def test_from_its_start_to_its_end(service: Service, health: Health) -> None:
    """It is ready once it listens, and no longer once it shuts down; it lives all the time."""
    service.write('import time\ntime.sleep(0.5)\n' + SERVICE)
    async with service.run(TARGET, *HEALTH) as running:
        await health.find(running)
        assert await health.ask('live') == (200, [])
        assert await health.ask('ready') == (503, ['worker 1 is starting'])
        assert await health.wait_for('ready', 200) == []
        await service.emit(10)
        await running.expect('started 10')
        running.send(signal.SIGTERM)
        await running.expect('shutting down')
        assert await health.ask('ready') == (503, ['shutting down'])
        assert await health.ask('live') == (200, [])
        assert await running.wait() == 0


async def test_one_page_of_metrics_for_all_processes(service: Service, health: Health) -> None:
    labels = f'{{actor="actor",event="{service.event.name}"}}'
    async with service.run(TARGET, *HEALTH, '--processes', '2', '--max-jobs', '4') as running:
        await health.find(running)
        await health.wait_for('ready', 200)
        await service.emit(*[1] * 40)  # not 0: for quick jobs a process looks ahead
        await service.wait_settled()
        await service.emit(*[600] * 12)
        for _ in range(8):
            await running.expect('started 600')
        async with asyncio.timeout(10):
            while jobs(found := await health.metrics()) < 8:
                await asyncio.sleep(0.05)
        assert found[f'walnats_jobs_started_total{labels}'] == 48
        assert found[f'walnats_jobs_processed_total{labels}'] == 40
        assert found[f'walnats_job_duration_seconds_count{labels}'] == 40
        for worker in '12':
            label = f'{{worker="{worker}"}}'
            assert found[f'walnats_worker_up{label}'] == 1
            assert found[f'walnats_worker_connected{label}'] == 1
            assert found[f'walnats_worker_listening{label}'] == 1
            assert found[f'walnats_worker_held_messages{label}'] >= 4
            assert found[f'walnats_worker_restarts_total{label}'] == 0
        os.kill(running.children()[0], signal.SIGKILL)
        await running.expect('the next one starts')
        await health.wait_for('ready', 200)
        found = await health.metrics()
        # What was counted before is not forgotten.
        assert found[f'walnats_jobs_processed_total{labels}'] == 40
        restarts = [found[f'walnats_worker_restarts_total{{worker="{n}"}}'] for n in (1, 2)]
        assert sorted(restarts) == [0, 1]
        directory = metrics_directory(running)
        assert directory.is_dir()
        running.send(signal.SIGTERM)
        await asyncio.sleep(BETWEEN_SIGNALS)
        running.send(signal.SIGTERM)
        assert await running.wait() == 143
        assert not directory.exists()


def jobs(metrics: dict[str, float]) -> float:
    return sum(metrics[f'walnats_worker_jobs{{worker="{number}"}}'] for number in (1, 2))


def metrics_directory(running: Running) -> Path:
    environment = Path(f'/proc/{running.children()[0]}/environ').read_text()
    found = re.search('PROMETHEUS_MULTIPROC_DIR=([^\0]+)', environment)
    assert found is not None
    return Path(found[1])


async def test_a_worker_whose_loop_does_not_turn_is_named(service: Service, health: Health) -> None:
    async with service.run(TARGET, *HEALTH, '--processes', '2') as running:
        await health.find(running)
        await health.wait_for('ready', 200)
        stopped = running.children()[0]
        os.kill(stopped, signal.SIGSTOP)
        (problem,) = await health.wait_for('live', 503)
        assert re.fullmatch(
            rf'worker \d \(pid {stopped}\): its event loop has not turned for \d+ s', problem
        )
        os.kill(stopped, signal.SIGCONT)
        await health.wait_for('live', 200)
        os.kill(stopped, signal.SIGKILL)
        (problem,) = await health.wait_for('live', 503)
        assert re.fullmatch(r'worker \d: its process has ended', problem)
        await health.wait_for('live', 200)


async def test_without_a_connection_it_is_not_ready(service: Service, health: Health) -> None:
    async with walnats.EmbeddedServer() as server:
        service.environment['NATS_SERVER'] = server.url
        async with service.run(TARGET, *HEALTH) as running:
            await health.find(running)
            await health.wait_for('ready', 200)
            await server.stop()
            assert await health.wait_for('ready', 503) == ['worker 1 is not connected to NATS']
            assert await health.ask('live') == (200, [])
            await server.start()
            await health.wait_for('ready', 200)
            running.send(signal.SIGTERM)
            assert await running.wait() == 0


async def test_a_port_in_use(service: Service) -> None:
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        async with service.run(TARGET, '--health-port', str(port)) as running:
            assert await running.wait() == 1
    (line,) = running.lines
    expected = f"error: --health-port: can't listen on 127.0.0.1:{port}: address already in use; "
    assert line == f'{expected}name another one'
