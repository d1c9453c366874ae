"""What `walnats run` logs."""

from __future__ import annotations

import json
import signal
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.acceptance.cli.running import Service

TARGET = 'service:ACTORS'

LOGGING = """
import logging
import walnats
from walnats.middlewares import ExtraLogMiddleware

async def fail(number: int) -> None:
    logging.warning('no %s', number, extra={'what': {1: object}, 'worker': 'hidden'})
    raise walnats.GiveUp('on purpose')

ACTORS = walnats.Actors(
    walnats.Actor(
        'actor', walnats.Event({event!r}, int), fail, middlewares=[ExtraLogMiddleware()]
    ),
    dead_letters=None,
)
"""


async def test_json_logs(service: Service) -> None:
    service.write(LOGGING)
    arguments = ('--processes', '2', '--log-format', 'json', '--log-level', 'debug')
    async with service.run(TARGET, *arguments) as running:
        await running.expect('is listening')
        await running.expect('is listening')
        await service.emit(3)
        await running.expect('actor failed')
        running.send(signal.SIGTERM)
        assert await running.wait() == 0
    records = [json.loads(line) for line in running.lines]
    for record in records:
        assert record.keys() >= {'time', 'level', 'logger', 'message', 'pid'}
        assert datetime.fromisoformat(record['time']).utcoffset() == timedelta()
    by_message = {record['message']: record for record in records}
    warning = by_message['no 3']
    assert (warning['level'], warning['logger'], warning['worker'] in {1, 2}) == (
        'warning',
        'root',
        True,
    )
    assert '1' in warning['what']
    failure = by_message['Unhandled GiveUp in "actor" actor']
    assert failure['exception'].endswith('GiveUp: on purpose')
    extra = by_message['actor failed']
    assert (extra['actor'], extra['attempts'], extra['exception_type']) == ('actor', 1, 'GiveUp')


async def test_in_json_the_error_at_the_end_is_a_record_too(service: Service) -> None:
    service.write('')
    async with service.run(TARGET, '--log-format', 'json') as running:
        assert await running.wait() == 1
    record = json.loads(running.lines[-1])
    assert record['level'] == 'critical'
    assert record['message'] == "'service:ACTORS': there is no 'ACTORS'; there is nothing"


async def test_the_level(service: Service) -> None:
    service.write(LOGGING)
    await service.register()
    await service.emit(3)
    async with service.run(TARGET, '--log-level', 'error') as running:
        await running.expect('Unhandled GiveUp')
        running.send(signal.SIGTERM)
        assert await running.wait() == 0
    assert not any('WARNING' in line or 'INFO' in line for line in running.lines)
