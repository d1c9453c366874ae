"""A peer that knows nothing but the document takes part, on a real server."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft7Validator

from walnats import CloudEvent, Event, Events, Services
from walnats.errors import RequestFailedError

if TYPE_CHECKING:
    from nats.aio.client import Client


@dataclass
class Question:
    text: str
    limit: int = 10


class Peer:
    """Answers requests by what the document tells of them."""

    def __init__(self, nc: Client, document: dict[str, Any]) -> None:
        self._nc = nc
        self._components = document['components']
        (operation,) = document['operations'].values()
        self._reply_header = operation['reply']['address']['location'].partition('#/')[2]
        channel = next(each for each in document['channels'].values() if each['address'])
        self._address = channel['address']
        (key,) = channel['messages']
        self._message = self._components['messages'][key]

    async def listen(self) -> None:
        self._subscription = await self._nc.subscribe(self._address)
        await self._nc.flush()

    async def answer(self, payload: bytes, headers: dict[str, str] | None = None) -> dict[str, str]:
        """Answer one request and give its headers."""
        request = await self._subscription.next_msg(timeout=10)
        self._validate(self._message['payload'], json.loads(request.data))
        sent = request.headers or {}
        assert sent.keys() <= self._headers().keys()
        await self._nc.publish(sent[self._reply_header], payload, headers=headers)
        return sent

    def _headers(self) -> dict[str, Any]:
        name = self._message['headers']['$ref'].rpartition('/')[2]
        properties: dict[str, Any] = self._components['schemas'][name]['properties']
        return properties

    def _validate(self, schema: dict[str, Any], value: Any) -> None:
        whole = {'allOf': [schema], 'components': self._components}
        Draft7Validator(whole).validate(value)


async def test_a_peer_answers_by_the_document(server_url: str, nc: Client, unique: str) -> None:
    event = Event(unique, Question).with_response(list[int])
    document = Services().add('asking', emits=Events(event)).get_async_api()
    peer = Peer(nc, document)
    meta = CloudEvent(id='1', source='/a', type='b', subject='c')
    async with Events(event).connect(server_url) as conn:
        await conn.register()
        await peer.listen()
        answering = asyncio.create_task(peer.answer(b'[1, 2]'))
        response = await conn.request(
            event, Question('Where?'), uid='u', trace_id='t', meta=meta, timeout=10
        )
        assert response == [1, 2]
        headers = await answering
        assert headers['Walnats-Trace'] == 't'
        assert headers['ce-subject'] == 'c'

        failing = asyncio.create_task(peer.answer(b'', {'Walnats-Error': 'no idea'}))
        with pytest.raises(RequestFailedError, match='no idea'):
            await conn.request(event, Question('Why?'), timeout=10)
        await failing
