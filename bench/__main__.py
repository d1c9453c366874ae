"""`python -m bench [ROUNDS] [NAME…]`: all scenarios, in turn, each round on a fresh server."""

from __future__ import annotations

import asyncio
import statistics
import sys

import walnats

from .payload import EVENT, FLIGHT
from .scenarios import SCENARIOS, Contender, Scenario
from .server import fresh_server


async def main(rounds: int, names: list[str]) -> bool:
    print(f'{"scenario":24}{"walnats":>12}  {"peer":22}{"rate":>10}{"ratio":>8}  spread')
    good = True
    for scenario in SCENARIOS:
        if not names or any(name in scenario.name for name in names):
            good &= await run_scenario(scenario, rounds)
    return good


async def run_scenario(scenario: Scenario, rounds: int) -> bool:
    contenders = {'walnats': scenario.walnats, **scenario.peers}
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            rates[name].append(await measure(contender, scenario.messages))
    good = True
    for peer in scenario.peers:
        ratios = sorted(
            ours / theirs for ours, theirs in zip(rates['walnats'], rates[peer], strict=True)
        )
        ratio, bar = statistics.median(ratios), scenario.bars.get(peer, 0)
        good &= ratio >= bar
        print(
            f'{scenario.name:24}{statistics.median(rates["walnats"]):10,.0f}/s  {peer:22}'
            f'{statistics.median(rates[peer]):8,.0f}/s{ratio:8.2f}'
            f'  {ratios[0]:.2f}-{ratios[-1]:.2f}' + (f'  (at least {bar})' if bar else ''),
            flush=True,
        )
    return good


async def measure(contender: Contender, count: int) -> float:
    """Give the messages per second, on a server that nobody has used."""
    async with fresh_server() as url:
        async with walnats.Events(EVENT).connect(url) as conn:
            await conn.register()
            await conn.emit(EVENT, FLIGHT, sync=True)
        return count / await contender(url, count)


if __name__ == '__main__':
    numbers = [int(arg) for arg in sys.argv[1:] if arg.isdigit()]
    wanted = [arg for arg in sys.argv[1:] if not arg.isdigit()]
    sys.exit(not asyncio.run(main(numbers[0] if numbers else 5, wanted)))
