"""Runs the Python blocks of a page of the documentation in their order, as one program.

    python run_page.py PAGE [FILE ...]

All blocks of the page share their names, and may `await` at the top level, as in an
interactive session. What a page shows besides:

- `<!-- python … -->` is code that runs and isn't shown: it checks what the text says, or
  keeps open what the shown code only borrows.
- `<!-- no-run: REASON -->` in the line above a block keeps it from being run.
- A block that the text calls one of the FILEs is a program that another test runs.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import logging
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

_BLOCK = re.compile(
    r'(?P<intro>`[^`\n]+`[^\n]*\n\n)?'
    r'(?P<no_run>^<!-- no-run: [^\n]+ -->\n)?'
    r'^```python\n(?P<shown>.*?)^```$'
    r'|^<!-- python\n(?P<hidden>.*?)^-->$',
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A piece of Python of a page."""

    code: str
    line: int
    """The line of the page before its first one, from 1."""
    is_shown: bool
    is_run: bool


def read_blocks(page: Path, programs: list[str]) -> list[Block]:
    """Give the blocks of a page.

    :param programs: the files that other tests run.
    """
    text = page.read_text(encoding='utf-8')
    return [_make_block(found, text, programs) for found in _BLOCK.finditer(text)]


def run(page: Path, programs: list[str]) -> None:
    """Run the blocks of a page.

    What is logged goes to stdout: a page may show a failure. What asyncio logs is one of ours.
    """
    logging.lastResort = logging.StreamHandler(sys.stdout)
    logging.getLogger('asyncio').addHandler(logging.StreamHandler(sys.stderr))
    # A real module, because types look their annotations up in theirs.
    module = sys.modules['page'] = ModuleType('page')
    with asyncio.Runner() as runner:
        for block in read_blocks(page, programs):
            if not block.is_run:
                continue
            # A traceback shows the line of the page.
            source = '\n' * block.line + block.code
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            code = compile(source, str(page), 'exec', flags=flags, dont_inherit=True)
            # Without a top-level await it has run by now, and may have used asyncio.run.
            result = eval(code, vars(module))  # noqa: S307 -- it is the page that is tested
            if inspect.iscoroutine(result):
                runner.run(result)


def _make_block(found: re.Match[str], text: str, programs: list[str]) -> Block:
    kind = 'hidden' if found['shown'] is None else 'shown'
    is_program = any(f'`{program}`' in (found['intro'] or '') for program in programs)
    return Block(
        code=found[kind],
        line=text.count('\n', 0, found.start(kind)),
        is_shown=kind == 'shown',
        is_run=found['no_run'] is None and not is_program,
    )


if __name__ == '__main__':
    run(Path(sys.argv[1]), sys.argv[2:])
