"""Runs a scenario: each round all contenders in turn, and each round in another order."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from .broker import Broker, fresh_broker
from .flight import make_flight
from .process import ContenderError, start_child, time_import
from .results import Row, Sample, ScenarioResult
from .scenarios import Contender, Kind, Scenario

if TYPE_CHECKING:
    from pathlib import Path

    from .environments import Environments
    from .process import Child

_LIMIT = 180
"""Seconds for one run of one contender."""
_ACK_LIMIT = 10
_WARM_UP = 5_120
"""Messages, at most."""
# Those who handle lists wait for whole ones: what is left over would cost them a time-out.
_MULTIPLE = 256


@dataclass(frozen=True)
class Effort:
    """How much is done.

    :param part: of the messages of each scenario.
    """

    rounds: int
    part: float
    is_quick: bool

    def rounds_of(self, scenario: Scenario) -> int:
        if scenario.kind is Kind.IMPORT:
            return max(3, round(scenario.rounds * self.part))
        return min(self.rounds, scenario.rounds)

    def messages_of(self, scenario: Scenario, contender: Contender) -> int:
        if contender.messages is not None:
            return contender.messages
        if scenario.kind in {Kind.IDLE, Kind.IMPORT}:
            return 1
        wanted = scenario.messages * contender.share * self.part
        return max(1, round(wanted / _MULTIPLE)) * _MULTIPLE


@dataclass(frozen=True)
class Entry:
    """A contender that takes part in a scenario."""

    contender: Contender
    python: Path
    messages: int
    row: Row


async def run_scenario(
    scenario: Scenario, environments: Environments, effort: Effort
) -> ScenarioResult:
    """Measure all contenders of a scenario on one fresh server.

    :raises ContenderError: one of them failed.
    """
    entries = list(_enter(scenario, environments, effort))
    async with fresh_broker() as broker:
        if not effort.is_quick:
            for entry in entries:
                await _try(scenario, _warm_up(entry), broker)
        for number in range(effort.rounds_of(scenario)):
            for entry in _rotate(entries, number):
                entry.row.samples.append(await _try(scenario, entry, broker))
    rows = [entry.row for entry in entries]
    return ScenarioResult(scenario.name, list(scenario.metrics), rows, scenario.is_charted)


def _enter(scenario: Scenario, environments: Environments, effort: Effort) -> list[Entry]:
    entries = []
    for contender in scenario.contenders:
        if effort.is_quick and contender.is_long:
            continue
        python = environments.python(contender.environment)
        if python is None:
            print(f'{contender.label}: left out, it has no environment', file=sys.stderr)
            continue
        messages = effort.messages_of(scenario, contender)
        row = Row(contender.label, bars=list(contender.bars))
        entries.append(Entry(contender, python, messages, row))
    return entries


def _warm_up(entry: Entry) -> Entry:
    """Give what warms up the server, the disk and Python's caches before the first round."""
    return replace(entry, messages=min(entry.messages, _WARM_UP))


def _rotate(entries: list[Entry], number: int) -> list[Entry]:
    start = number % len(entries)
    return entries[start:] + entries[:start]


async def _try(scenario: Scenario, entry: Entry, broker: Broker) -> Sample:
    """Run a contender once, and say which one it was if it fails."""
    try:
        async with asyncio.timeout(_LIMIT):
            if scenario.kind is Kind.IMPORT:
                return await _import(entry)
            return await _run(scenario, entry, broker)
    except (ContenderError, TimeoutError) as exc:
        where = f'{scenario.name}: {entry.contender.label}'
        raise ContenderError(f'{where}: {str(exc) or f"not done in {_LIMIT} seconds"}') from exc


async def _import(entry: Entry) -> Sample:
    seconds, cpu = await time_import(entry.python, entry.contender.function)
    return Sample(messages=1, seconds=seconds, cpu=cpu, server_cpu=None)


async def _run(scenario: Scenario, entry: Entry, broker: Broker) -> Sample:
    await broker.reset()
    if scenario.kind is Kind.EMIT:
        await broker.keep()
    async with AsyncExitStack() as stack:
        children = [
            await stack.enter_async_context(
                start_child(entry.python, entry.contender.function, _job(scenario, entry, broker))
            )
            for _ in range(entry.contender.processes or 1)
        ]
        ready = [await child.hear() for child in children]
        if scenario.kind is Kind.HANDLE:
            await _load(scenario, entry, broker, ready[0])
        server_cpu = broker.cpu()
        results = await _work(entry, broker, children)
        if server_cpu is not None:
            server_cpu = (broker.cpu() or 0) - server_cpu
        for child in children:
            await child.end()
    await _check(scenario, entry, broker)
    return _sample(entry, results, server_cpu)


def _job(scenario: Scenario, entry: Entry, broker: Broker) -> dict[str, Any]:
    return {
        'url': broker.url,
        'count': entry.messages,
        'size': scenario.size,
        'options': entry.contender.options,
    }


async def _load(scenario: Scenario, entry: Entry, broker: Broker, ready: dict[str, Any]) -> None:
    """Store the messages to handle: flights, or what the contender makes of one."""
    payload = ready['payload']
    encoded = payload.encode() if payload else msgspec.json.encode(make_flight(scenario.size))
    await broker.load(entry.messages, encoded, ready['headers'] or {})


async def _work(entry: Entry, broker: Broker, children: list[Child]) -> list[dict[str, Any]]:
    for child in children:
        child.say('start')
    if entry.contender.processes:
        await broker.drain(_LIMIT)
        for child in children:
            child.say('stop')
    return [await child.hear() for child in children]


async def _check(scenario: Scenario, entry: Entry, broker: Broker) -> None:
    """See that the work was done: everything is stored, or everything is acknowledged."""
    if scenario.kind is Kind.HANDLE:
        try:
            await broker.drain(_ACK_LIMIT)
        except TimeoutError:
            raise ContenderError('not all messages are acknowledged') from None
    elif scenario.kind is Kind.EMIT and (stored := await broker.stored()) < entry.messages:
        raise ContenderError(f'{stored:,} of {entry.messages:,} messages are stored')


def _sample(entry: Entry, results: list[dict[str, Any]], server_cpu: float | None) -> Sample:
    started_at = min(result['started_at'] for result in results)
    return Sample(
        messages=entry.messages,
        seconds=max(result['ended_at'] for result in results) - started_at,
        cpu=sum(result['cpu'] for result in results),
        server_cpu=server_cpu,
        memory=max(result['memory'] for result in results),
        growth=max(result['growth'] for result in results),
        actors=entry.contender.options.get('actors', 1),
        p50=results[0]['p50'],
        p99=results[0]['p99'],
    )
