"""Removing an actor for good."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import walnats
from walnats.errors import ConsumerNotFoundError, InvalidNameError

if TYPE_CHECKING:
    from tests.integration.worker.conftest import Stage


async def test_it_removes_the_consumer_and_what_it_alone_kept(stage: Stage) -> None:
    seen = stage.seen()
    jetstream = stage.nc.jetstream()
    async with stage.connect(stage.actor(seen), stage.actor(seen, 'other')) as conn:
        await stage.publish(range(3))
        await conn.unregister('actor')
        names = [info.name for info in await jetstream.consumers_info(stage.event.stream_name)]
        assert names == ['other']
        info = await jetstream.stream_info(stage.event.stream_name)
        assert info.state.messages == 3
        await conn.unregister('other')
        info = await jetstream.stream_info(stage.event.stream_name)
        assert info.state.messages == 0


async def test_an_actor_that_is_no_longer_in_the_code_can_be_removed(stage: Stage) -> None:
    async with stage.connect(stage.actor(stage.seen(), 'old')):
        pass
    async with stage.connect(stage.actor(stage.seen(), 'new')) as conn:
        await conn.unregister('old')
        await conn.register()
        names = await stage.nc.jetstream().consumers_info(stage.event.stream_name)
    assert [info.name for info in names] == ['new']


async def test_of_two_events_both_lose_the_actor_of_that_name(stage: Stage) -> None:
    other = walnats.Event(f'{stage.event.name}-other', stage.item)
    actors = stage.actor(stage.seen()), walnats.Actor('actor', other, stage.seen())
    async with stage.connect(*actors) as conn:
        await conn.unregister('actor')
        for event in (stage.event, other):
            assert await stage.nc.jetstream().consumers_info(event.stream_name) == []


async def test_one_that_is_not_there_is_an_error(stage: Stage) -> None:
    async with stage.connect(stage.actor(stage.seen())) as conn:
        with pytest.raises(ConsumerNotFoundError, match=f"'nobody'.*{stage.event.stream_name}"):
            await conn.unregister('nobody')
        await conn.unregister('actor')
        with pytest.raises(ConsumerNotFoundError, match="'actor'"):
            await conn.unregister('actor')


@pytest.mark.parametrize('name', ['', 'a.b', 'a b', '*', '>'])
async def test_a_name_that_can_not_be_never_gets_to_the_server(stage: Stage, name: str) -> None:
    async with stage.connect(stage.actor(stage.seen())) as conn:
        with pytest.raises(InvalidNameError):
            await conn.unregister(name)
        assert await stage.nc.jetstream().consumers_info(stage.event.stream_name) != []


async def test_a_worker_whose_actor_is_removed_ends_with_an_error(stage: Stage) -> None:
    seen = stage.seen()
    async with stage.connect(stage.actor(seen)) as conn:
        task = asyncio.create_task(conn.listen())
        await stage.publish(1)
        await seen.wait(1)
        await conn.unregister('actor')
        with pytest.raises(ConsumerNotFoundError, match='register'):
            async with asyncio.timeout(10):
                await task


async def test_its_dead_letters_stay(stage: Stage) -> None:
    def give_up(_: object) -> None:
        raise walnats.GiveUp('no')

    async with walnats.Actors(stage.actor(give_up)).connect(stage.url) as conn:
        await conn.register()
        await stage.publish(1)
        await conn.listen(burst=True, poll_delay=0.3)
        await conn.unregister('actor')
        assert [letter.reason async for letter in conn.dead_letters()] == ['no']
