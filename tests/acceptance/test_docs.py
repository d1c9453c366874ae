"""The documentation: its Python runs as it is printed, and nothing public is left out."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import pytest

import walnats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from nats.aio.client import Client

ROOT = Path(__file__).parents[2]
RUNNER = Path(__file__).parent / 'run_page.py'
PAGES = [
    'README.md',
    *sorted(
        page
        for path in ROOT.glob('docs/**/*.md')
        if '/_' not in (page := path.relative_to(ROOT).as_posix())
    ),
]
# Programs that import each other, or run until they are stopped: test_readme.py and
# test_docs_files.py run them.
PROGRAMS = {
    'README.md': ['subscriber.py', 'publisher.py'],
    'docs/getting-started.md': ['shop.py', 'worker.py', 'emit.py', 'test_shop.py'],
    'docs/recipes/testing.md': ['orders.py', 'conftest.py', 'test_orders.py'],
}

OUTPUT = re.compile(r'^<!-- output -->\n```text\n(.*?)^```$', re.MULTILINE | re.DOTALL)
# Whatever Markdown and MyST take for Python, in fences of any length and kind. What is included
# from the examples has tests of its own.
PYTHON = re.compile(
    r'^[ \t>*-]*(?:`{3,}|~{3,}|:{3,})(?!{literalinclude}).*\b(?:py|py3|python|python3|pycon)\b',
    re.MULTILINE,
)
SHOWN = re.compile(r'^```python\n', re.MULTILINE)

FORGOTTEN = """```python
import asyncio

async def fail():
    raise ValueError

asyncio.create_task(fail())
await asyncio.sleep(0)
await asyncio.sleep(0)
```
"""


class Result(NamedTuple):
    status: int
    output: str
    errors: str


async def run_page(page: Path, server_url: str, *programs: str) -> Result:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *('-W', 'error', str(RUNNER), str(page), *programs),
        env={**os.environ, 'NATS_SERVER': server_url},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(50):
            output, errors = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return Result(process.returncode or 0, output.decode(), errors.decode())


@pytest.fixture
async def clean(nc: Client) -> AsyncIterator[None]:
    """No stream is left behind: the next page may use the same names."""
    before = {stream.config.name for stream in await nc.jetstream().streams_info()}
    yield
    for stream in await nc.jetstream().streams_info():
        if stream.config.name and stream.config.name not in before:
            await nc.jetstream().delete_stream(stream.config.name)


@pytest.mark.parametrize('page', PAGES)
async def test_the_python_of_a_page_runs(page: str, server_url: str, clean: None) -> None:
    result = await run_page(ROOT / page, server_url, *PROGRAMS.get(page, []))
    assert (result.status, result.errors) == (0, ''), result.errors
    for expected in OUTPUT.findall((ROOT / page).read_text(encoding='utf-8')):
        assert expected in result.output


@pytest.mark.parametrize('page', PAGES)
def test_no_python_hides_from_the_test(page: str) -> None:
    text = (ROOT / page).read_text(encoding='utf-8')
    assert len(PYTHON.findall(text)) == len(SHOWN.findall(text))


@pytest.mark.parametrize(
    ('page', 'error'),
    [
        ('```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n', 'line 6, in <module>'),
        ('<!-- python\nawait asyncio.sleep(0)\n-->\n', "name 'asyncio' is not defined"),
        ('Save it as `a.py`:\n\n```python\nassert False\n```\n', 'AssertionError'),
        ('```python\nopen("/dev/null")\n```\n', 'ResourceWarning'),
        (FORGOTTEN, 'never retrieved'),
        ('<!-- no-run: -->\n```python\nassert False\n```\n', 'AssertionError'),
    ],
)
async def test_a_page_that_fails_is_found(page: str, error: str, tmp_path: Path) -> None:
    path = tmp_path / 'page.md'
    path.write_text(page)
    assert error in (await run_page(path, '', 'b.py')).errors


async def test_what_need_not_run_does_not(tmp_path: Path) -> None:
    path = tmp_path / 'page.md'
    path.write_text(
        'Save it as `a.py`:\n\n```python\nassert False\n```\n\n'
        '<!-- no-run: it shows an error -->\n```python\nassert False\n```\n\n'
        '```python\nprint("the rest")\n```\n'
    )
    assert await run_page(path, '', 'a.py') == (0, 'the rest\n', '')


@pytest.mark.parametrize('page', ['README.md', 'CONTRIBUTING.md'])
def test_links_to_other_files(page: str) -> None:
    """Sphinx looks after the links of all other pages."""
    links = re.findall(r'\]\((?!https?://)([^)#]+)', (ROOT / page).read_text(encoding='utf-8'))
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_all_that_is_public_is_documented() -> None:
    pages = '\n'.join((ROOT / page).read_text(encoding='utf-8') for page in PAGES)
    documented = set(re.findall(r'^\.\. auto\w+:: (\S+)', pages, re.MULTILINE))
    assert [places for places in public_names() if documented.isdisjoint(places)] == []


def public_names() -> Iterator[tuple[str, ...]]:
    """Give for each public name the things of which one has to be in the reference."""
    for name in walnats.__all__:
        value = getattr(walnats, name)
        if isinstance(value, ModuleType):
            for member in value.__all__:
                yield f'walnats.{name}', f'walnats.{name}.{member}'
        elif name not in walnats.errors.__all__:
            yield (f'walnats.{name}',)
