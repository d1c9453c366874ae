"""The program as a whole."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

import walnats

if TYPE_CHECKING:
    from tests.acceptance.cli.running import Service

# As if the package were not installed.
WITHOUT = """
import sys
sys.modules[{package!r}] = None
sys.argv = ['walnats', *{arguments}]
from walnats.cli import main
main()
"""
# What a worker process imports, and what of the command line it has no use for.
CHILD = """
import sys
import walnats.cli._child
print(*sorted({'typer', 'rich', 'watchfiles', 'prometheus_client'} & sys.modules.keys()))
"""


async def python(code: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, '-c', code),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_version(service: Service) -> None:
    async with service.run(command='--version') as running:
        assert await running.wait() == 0
    assert running.lines == [f'walnats {walnats.__version__}']


@pytest.mark.parametrize('package', ['typer', 'rich'])
async def test_without_the_extra_it_says_what_to_install(package: str) -> None:
    code, output = await python(WITHOUT.format(package=package, arguments=['run', 'a:b']))
    assert code == 1
    assert output == (
        f"walnats: the command line needs the package '{package}': pip install 'walnats[cli]'\n"
    )


async def test_a_worker_process_imports_no_more_than_it_needs() -> None:
    assert await python(CHILD) == (0, '\n')
