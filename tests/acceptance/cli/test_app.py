"""The program as a whole."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.cli.running import COMMAND, SERVICE

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


async def shell(service: Service, arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_shell(
        f'{COMMAND} {arguments}',
        cwd=service.path.parent,
        env=service.environment | {'PYTHONIOENCODING': 'utf-8:strict'},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_streams_may_be_closed(service: Service) -> None:
    code, output = await shell(service, 'apply service:ACTORS <&-')
    assert (code, output.count("error: nobody is here to answer 'Apply ")) == (1, 1)
    assert await shell(service, 'run service:ACTORS --burst <&- >&- 2>&-') == (0, '')
    assert await shell(service, 'status >&-') == (0, '')


async def test_the_name_of_a_file_may_be_no_text(service: Service) -> None:
    path = service.path.parent / '\udcff.py'
    path.write_text("import walnats\nwalnats.Event('', int)\n")
    code, output = await shell(service, 'lint .')
    assert (code, './\\udcff.py:2:15: WNS001 ' in output) == (1, True)


async def test_an_output_that_can_not_be_written_is_an_error(service: Service) -> None:
    full = 1, 'error: [Errno 28] No space left on device\n'
    service.write(f'{SERVICE}SERVICES = walnats.Services().add("a", defines=ACTORS)\n')
    assert await shell(service, 'describe service:SERVICES >/dev/full') == full
    assert await shell(service, 'status --json >/dev/full') == full
    assert await shell(service, 'status --json | true') == (0, '')  # its reader needs no more


async def test_a_worker_process_imports_no_more_than_it_needs() -> None:
    assert await python(CHILD) == (0, '\n')
