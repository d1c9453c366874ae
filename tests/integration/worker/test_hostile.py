"""What anybody who can publish may send to a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.worker.conftest import Stage


@pytest.mark.parametrize('status', ['100', '404', '409', '503', 'x'])
async def test_a_status_header_is_a_header_like_others(stage: Stage, status: str) -> None:
    headers = {'Status': status, 'Description': 'Consumer Deleted', 'Nats-Pending-Messages': '-9'}
    seen = stage.seen()
    async with stage.listening(stage.actor(seen)):
        await stage.publish(range(3), headers)
        await stage.publish(3)
        assert sorted(await seen.wait(4)) == [0, 1, 2, 3]
        await stage.wait_settled()


@pytest.mark.parametrize(
    'header',
    [
        b'NATS/1.0 503\r\n\r\n',
        b'NATS/1.0 409 Consumer Deleted\r\n\r\n',
        b'NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 1\r\n\r\n',
        b'NATS/1.0 404 \xff\xfe\r\n\r\n',
        b'NATS/1.0 \xff\xfe\r\n\r\n',
        b'NATS/1.0\r\nno colon\r\n: \r\n\xff\xff: \xff\r\n\r\n',
        b'NATS/1.0\r\nWalnats-Delay: \xff\xff\r\nWalnats-Reply: \xff>*\r\n\r\n',
    ],
    ids=['503', '409', '100', 'odd description', 'odd status', 'odd lines', 'ours, odd'],
)
async def test_a_message_that_looks_like_one_of_the_server(stage: Stage, header: bytes) -> None:
    seen = stage.seen()
    async with stage.listening(stage.actor(seen)):
        await publish_bytes(stage, header, b'{"n":1}')
        await stage.publish(2)
        assert sorted(await seen.wait(2)) == [1, 2]
        await stage.wait_settled()


async def publish_bytes(stage: Stage, header: bytes, payload: bytes) -> None:
    """Publish what nats-py would refuse to."""
    total = len(header) + len(payload)
    command = f'HPUB {stage.event.name} {len(header)} {total}\r\n'.encode()
    await stage.nc._send_command(command + header + payload + b'\r\n')
    await stage.nc._flush_pending()
    await stage.nc.flush()


async def test_huge_headers(stage: Stage) -> None:
    seen = stage.seen()
    async with stage.listening(stage.actor(seen)):
        await stage.publish(1, {f'X-{number}': 'x' * 1000 for number in range(60)})
        await stage.publish(2)
        assert sorted(await seen.wait(2)) == [1, 2]
        await stage.wait_settled()


async def test_a_payload_as_large_as_may_be(stage: Stage) -> None:
    async with stage.listening(stage.actor(stage.seen())):
        await stage.publish_raw(b'x' * stage.nc.max_payload)
        await stage.wait_settled()


@pytest.mark.parametrize(
    'reply',
    [
        '',
        'a',
        'a.b.1.1.1.1.1.1.1',
        'victim.ACK.stream.actor.1.1.1.1.1',  # one in $JS.ACK is refused by the server
    ],
)
@pytest.mark.parametrize('headers', [None, {'Status': '408'}, {'Status': '503'}])
async def test_a_message_straight_to_the_inbox_is_ignored(
    stage: Stage, reply: str, headers: dict[str, str] | None, caplog: pytest.LogCaptureFixture
) -> None:
    seen, answers = stage.seen(), []

    async def note(msg: object) -> None:
        answers.append(msg)

    await stage.nc.subscribe(reply or 'nothing', cb=note)
    async with stage.listening(stage.actor(seen)) as conn:
        await stage.publish(1)
        await seen.wait(1)
        for inbox in inboxes(conn):
            for _ in range(3):
                await stage.nc.publish(inbox, b'{"n":666}', reply, headers=headers)
        await stage.nc.flush()
        await stage.publish(2)
        await seen.wait(2)
        await conn.connection.flush()
        await stage.nc.flush()
    assert seen.numbers == [1, 2]
    assert answers == []
    assert ('that no consumer sent' in caplog.text) == bool(reply)


def inboxes(conn: object) -> list[str]:
    """Give subjects on which the worker listens for messages."""
    subscriptions = conn.connection.nc._subs.values()  # type: ignore[attr-defined]
    prefixes = [each.subject.removesuffix('*') for each in subscriptions]
    return [f'{prefix}{number}' for prefix in prefixes for number in (1, 2, 99)]
