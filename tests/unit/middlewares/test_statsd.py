from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from datadog.dogstatsd.base import DogStatsd

from walnats.errors import DeclarationTypeError
from walnats.middlewares import StatsdMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.middlewares.conftest import Jobs


class Agent:
    """A StatsD server: a UDP socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.client = DogStatsd(
            host='127.0.0.1', port=sock.getsockname()[1], disable_telemetry=True
        )

    def read(self, count: int) -> list[str]:
        """Give so many metrics. The loopback interface keeps their order."""
        lines: list[str] = []
        while len(lines) < count:
            lines += self._socket.recv(65536).decode().splitlines()
        return lines


@pytest.fixture
def agent() -> Iterator[Agent]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(('127.0.0.1', 0))
        sock.settimeout(5)
        agent = Agent(sock)
        try:
            yield agent
        finally:
            agent.client.stop()
            agent.client.close_socket()


async def test_a_job_that_goes_well(make_jobs: type[Jobs], agent: Agent) -> None:
    await make_jobs(StatsdMiddleware(agent.client)).run()
    assert agent.read(3) == [
        'walnats.user.created.greet.started:1|c',
        'walnats.user.created.greet.processed:1|c',
        'walnats.user.created.greet.duration:0.25|h',
    ]


async def test_a_job_that_fails(make_jobs: type[Jobs], agent: Agent) -> None:
    await make_jobs(StatsdMiddleware(agent.client)).fail(ValueError('x'))
    assert agent.read(2) == [
        'walnats.user.created.greet.started:1|c',
        'walnats.user.created.greet.failed:1|c',
    ]


async def test_a_message_that_can_not_be_decoded(make_jobs: type[Jobs], agent: Agent) -> None:
    await make_jobs(StatsdMiddleware(agent.client)).fail_to_decode(ValueError('x'))
    assert agent.read(1) == ['walnats.user.created.greet.failed:1|c']


async def test_what_the_protocol_uses_is_replaced(make_jobs: type[Jobs], agent: Agent) -> None:
    jobs = make_jobs(StatsdMiddleware(agent.client))
    await jobs.fail(ValueError('x'), event='a:1|c.b_c-d', actor='x@y#z')
    assert agent.read(2) == [
        'walnats.a_1_c.b_c-d.x_y_z.started:1|c',
        'walnats.a_1_c.b_c-d.x_y_z.failed:1|c',
    ]


@pytest.mark.parametrize('value', [None, 'localhost:8125'])
def test_what_is_no_client_is_refused(value: Any) -> None:
    with pytest.raises(DeclarationTypeError, match=r'StatsdMiddleware: client must be a client'):
        StatsdMiddleware(value)
