"""The permissions that docs/security.md gives to each role: enough for it, and no line too many."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nats
import pytest

import walnats
from walnats.errors import PermissionDeniedError, RequestFailedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nats.aio.client import Client

pytestmark = pytest.mark.usefixtures('no_leaks', 'passwords')

PAGE = Path(__file__).parents[3] / 'docs/security.md'
CONFIG = '\n'.join(
    re.findall(r'^<!-- config -->\n```text\n(.*?)^```$', PAGE.read_text(), re.MULTILINE | re.DOTALL)
)
PERMISSIONS = {
    role.lower(): re.findall(r'"([^"]+)"', block)
    for role, block in re.findall(r'^([A-Z]+) {\n(.*?)^}$', CONFIG, re.MULTILINE | re.DOTALL)
}
ROLES = ('deployer', 'publisher', 'worker', 'keeper')

ORDER_PLACED = walnats.Event('order-placed', str)
PRICE_ASKED = walnats.Event('price-asked', str).with_response(int)
EVENTS = walnats.Events(ORDER_PLACED, PRICE_ASKED)


def as_role(server: walnats.EmbeddedServer, role: str) -> str:
    return server.url.replace('//', f'//{role}:{role}-pw@')


@pytest.fixture
def passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server takes from its environment."""
    for role in ROLES:
        monkeypatch.setenv(f'{role.upper()}_PASSWORD', f'{role}-pw')


class Shop:
    """A system with one program for each role, and what was denied to them."""

    def __init__(self, server: walnats.EmbeddedServer) -> None:
        self.server = server
        self.denied: list[str] = []
        self.is_denied = asyncio.Event()
        self.handled: list[str] = []
        self._changed = asyncio.Event()
        self._actors = walnats.Actors(
            walnats.Actor('send-invoice', ORDER_PLACED, self._send_invoice, ack_wait=1),
            walnats.Actor('tell-price', PRICE_ASKED, self._tell_price, ack_wait=1),
        )

    def connect(self, role: str, registry: Any) -> Any:
        return registry.connect(
            as_role(self.server, role), inbox_prefix=f'_INBOX_{role}', error_cb=self._hear
        )

    async def play(self) -> None:
        """Do all that there is to do for each role."""
        await self.deploy()
        async with self.connect('worker', self._actors) as worker:
            working = asyncio.create_task(worker.listen())
            try:
                await self.publish()
                while await self._count_unsettled():
                    await asyncio.sleep(0.01)
            finally:
                await worker.shutdown(timeout=1)
                await working
        await self.keep()

    async def deploy(self) -> None:
        old = walnats.Actors(walnats.Actor('old', ORDER_PLACED, self._send_invoice))
        longer = walnats.Event('order-placed', str, limits=walnats.Limits(age=3600))
        async with self.connect('deployer', EVENTS) as conn:
            await conn.register()
        async with self.connect('deployer', walnats.Events(longer)) as conn:
            await conn.register()
        async with self.connect('deployer', old) as conn:
            await conn.register()
            await conn.unregister('old')
        async with self.connect('deployer', self._actors) as conn:
            await conn.register()

    async def publish(self) -> None:
        async with self.connect('publisher', EVENTS) as conn:
            await conn.emit(ORDER_PLACED, 'bad 1', sync=True)
            await conn.emit(ORDER_PLACED, 'bad 2')
            await conn.emit_many(ORDER_PLACED, ['good 1', 'good 2'])
            assert await conn.request(PRICE_ASKED, 'four') == 4
            with pytest.raises(RequestFailedError):
                await conn.request(PRICE_ASKED, 'bad')

    async def keep(self) -> None:
        registry = walnats.Actors(walnats.Actor('send-invoice', ORDER_PLACED, print))
        async with self.connect('keeper', registry) as conn:
            first, second = [letter async for letter in conn.dead_letters()]
            await conn.replay(first)
            await conn.discard(second)
            assert [letter async for letter in conn.dead_letters()] == []
        assert await self._count_unsettled() == 1  # the one that was replayed

    async def _send_invoice(self, order: str) -> None:
        if order.startswith('bad'):
            raise walnats.GiveUp('no such customer')
        await asyncio.sleep(0.4)  # longer than a pulse: it says that it's still working
        self.handled.append(order)

    async def _tell_price(self, article: str) -> int:
        if article == 'bad':
            raise walnats.GiveUp('no such article')
        return len(article)

    async def _count_unsettled(self) -> int:
        async with raw(self.server, 'deployer') as nc:
            info = await nc.jetstream().consumer_info('order-placed', 'send-invoice')
            return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def _hear(self, error: Exception) -> None:
        found = re.search(
            'permissions violation for (?:publish|subscription) to "(.*?)"', str(error)
        )
        if found is not None:
            self.denied.append(found[1])
            self.is_denied.set()


@contextlib.asynccontextmanager
async def raw(
    server: walnats.EmbeddedServer, role: str, hear: Callable[[str], None] = print
) -> AsyncIterator[Client]:
    """Connect as somebody who does without walnats."""

    async def note(error: Exception) -> None:
        hear(str(error))

    client = await nats.connect(as_role(server, role), inbox_prefix=f'_INBOX_{role}', error_cb=note)
    try:
        yield client
    finally:
        await client.close()


async def test_each_role_can_do_its_work() -> None:
    async with walnats.EmbeddedServer(config=CONFIG) as server:
        shop = Shop(server)
        await shop.play()
    assert sorted(shop.handled) == ['good 1', 'good 2']
    assert shop.denied == []


def test_the_page_has_all_roles() -> None:
    assert sorted(PERMISSIONS) == sorted(ROLES)
    assert min(map(len, PERMISSIONS.values())) > 2


@pytest.mark.parametrize(
    ('role', 'subject'), [(role, line) for role, lines in PERMISSIONS.items() for line in lines]
)
async def test_no_line_is_too_many(role: str, subject: str) -> None:
    """Without any one of them something is denied."""
    start = CONFIG.index(f'{role.upper()} {{')
    less = CONFIG[:start] + CONFIG[start:].replace(f'"{subject}"', '"nothing"', 1)
    async with walnats.EmbeddedServer(config=less) as server:
        shop = Shop(server)
        playing = asyncio.create_task(shop.play())
        denied = asyncio.create_task(shop.is_denied.wait())
        async with asyncio.timeout(20):
            await asyncio.wait({playing, denied}, return_when=asyncio.FIRST_COMPLETED)
        for task in playing, denied:
            task.cancel()
        await asyncio.gather(playing, denied, return_exceptions=True)
    assert shop.denied
    assert shop.denied[0].startswith(re.split('[*>]', subject)[0].lower())


# What each of them may do, and nobody else.
FORBIDDEN = [
    *(f'$JS.API.STREAM.{verb}.order-placed' for verb in ('DELETE', 'PURGE', 'SNAPSHOT', 'RESTORE')),
    *(f'$JS.API.STREAM.MSG.{verb}.order-placed' for verb in ('GET', 'DELETE')),
    '$JS.API.DIRECT.GET.order-placed',
    '$JS.API.CONSUMER.CREATE.order-placed',
    '$JS.API.CONSUMER.DURABLE.CREATE.order-placed.spy',
    '$JS.API.CONSUMER.CREATE.order-placed.spy.order-placed',
    '$JS.API.CONSUMER.PAUSE.order-placed.send-invoice',
    '$JS.API.CONSUMER.MSG.NEXT.order-placed.spy',
    '$JS.API.INFO',
    '$SYS.REQ.SERVER.PING',
    'some-other-event',
]
FORBIDDEN_TO_HEAR = [
    '>',
    '_INBOX.>',
    'order-placed',
    '$JS.>',
    '$JS.ACK.>',
    'walnats.dead.>',
    '$SYS.>',
]


@pytest.mark.parametrize('role', ROLES)
async def test_what_others_may_do_is_denied(role: str) -> None:
    own = PERMISSIONS[role]
    others = {line for each in ROLES for line in PERMISSIONS[each]} - set(own)
    inboxes = [line for line in others if line.startswith('_INBOX')]
    actions = {line.replace('*', 'x').replace('>', 'x') for line in others}
    to_publish = [*FORBIDDEN, *(line for line in actions if not is_allowed(line, own))]
    to_hear = [*FORBIDDEN_TO_HEAR, *(f'_INBOX_{each}.>' for each in ROLES if each != role)]
    assert len(to_publish) > len(FORBIDDEN)
    assert inboxes
    denied: list[str] = []
    async with (
        walnats.EmbeddedServer(config=CONFIG) as server,
        raw(server, role, denied.append) as nc,
    ):
        for subject in to_publish:
            await nc.publish(subject, b'')
        for subject in to_hear:
            await nc.subscribe(subject)
        for _ in range(2):
            await nc.flush()
    expected = [f'publish to "{subject.lower()}"' for subject in to_publish]
    expected += [f'subscription to "{subject.lower()}"' for subject in to_hear]
    assert [text.partition(' for ')[2] for text in denied] == expected


def is_allowed(subject: str, permissions: list[str]) -> bool:
    patterns = (re.escape(each).replace(r'\*', '[^.]+').replace('>', '.+') for each in permissions)
    return any(re.fullmatch(pattern, subject) for pattern in patterns)


async def test_a_worker_may_not_register() -> None:
    async with walnats.EmbeddedServer(config=CONFIG) as server:
        shop = Shop(server)
        await shop.deploy()
        actors = walnats.Actors(walnats.Actor('send-invoice', ORDER_PLACED, print))
        async with shop.connect('worker', actors) as conn:
            with pytest.raises(PermissionDeniedError, match=r'STREAM\.INFO\.order-placed'):
                await conn.register()


async def test_a_publisher_that_wants_to_look_on_is_told_that_it_may_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with walnats.EmbeddedServer(config=CONFIG) as server:
        shop = Shop(server)
        async with shop.connect('publisher', EVENTS) as conn:
            with conn.monitor():
                await conn.connection.flush()
    assert sorted(shop.denied) == ['order-placed', 'price-asked']
    assert 'order-placed' in caplog.text
