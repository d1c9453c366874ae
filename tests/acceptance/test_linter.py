"""The linter as it is used: by flake8 and by `walnats lint`, which find the same."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.acceptance.run_page import read_blocks

from walnats._linter import Finding, lint_paths
from walnats._linter.codes import CODES

ROOT = Path(__file__).parents[2]

# A line that ends in `expect CODE …` has these findings, and no others.
SAMPLE = {
    'shop/__init__.py': '',
    'shop/events.py': """
import walnats
from walnats import Event as Declare, Limits
NAME = 'order_sent'
A = walnats.Event('', int)  # expect WNS001
B = walnats.Event[int]('b' * 1, int)
C = walnats.Event('{long}', int)  # expect WNS002
D = Declare(schema=int, name='order paid')  # expect WNS003
E = Declare(NAME, int, description='{longer}')  # expect WNS004 WNS006
F = Declare('order-paid', int, None, '')  # expect WNS005
G = Declare(
    'order-paid',  # expect WNS031
    int,
    limits=Limits(0, bytes=-1, messages=10),  # expect WNS011 WNS011
)
H = Declare('order-kept', int, limits=Limits(age=3600 * 10**9))  # expect WNS012
I = Declare('', int)  # noqa: WNS001
J = Declare('', int)  # noqa: WNS002 expect WNS001
K = Declare('Order', int, description='''
''')  # noqa: WNS004, WNS005
\u00c4 = '\u00e4\u00f6\u00fc'; L = Declare('', int)  # expect WNS001
""",
    'shop/actors.py': """
from threading import Event
import walnats as w
from . import events
from .events import F as PAID
done = Event('')
async def run(message): ...
A = w.Actor('', PAID, run, max_attempts=1)  # expect WNS021
B = w.Actor('{long}', PAID, run, max_attempts=None)  # expect WNS022
C = w.Actor('send.mail', PAID, run, max_attempts=1)  # expect WNS023
D = w.Actor('sendMail', PAID, run, '', max_attempts=1)  # expect WNS024 WNS025
E = w.Actor('send', PAID, run, '{longer}', 16, 3)  # expect WNS026
F = w.Actor('send', events.F, run, max_attempts=1)  # expect WNS032
G = w.Actor('tell', PAID, run, max_attempts=1, execute_in=w.ExecuteIn.THREAD)  # expect WNS041
H = w.Actor('count', PAID, run)  # expect WNS042
async def main():
    async with w.Events(PAID).connect() as conn, w.Actors(A).connect(conn) as worker:
        worker.register()  # expect WNS051
        conn.emit(PAID, 1)  # expect WNS051
        await conn.emit(PAID, 1)
""",
    'shop/old.py': "# coding: latin-1\nimport walnats\nwalnats.Event('\u00e4 ', int)  "
    '# expect WNS003\n',
    'shop/off.py': "# flake8: noqa\nimport walnats\nwalnats.Event('', int)\n",
    'shop/broken/a.py': 'def f(:  # expect E999\n',
    'shop/broken/b.py': 'if x:\n    y\n  z  # expect E999\n',
    'shop/broken/c.py': 'import walnats\nwalnats.Event(  # expect E999\n',
    'shop/broken/d.py': "x = 'a  # expect E999\n",
    'shop/.hidden/a.py': "import walnats\nwalnats.Event('', int)\n",
    'shop/__pycache__/a.py': "import walnats\nwalnats.Event('', int)\n",
    'shop/notes.txt': "import walnats\nwalnats.Event('', int)\n",
}


class Result(NamedTuple):
    status: int
    lines: list[str]
    errors: str


def run(folder: Path, *command: str) -> Result:
    """Run a program in the folder, and give its output sorted by place."""
    done = subprocess.run(
        [sys.executable, '-m', *command], cwd=folder, capture_output=True, text=True, check=False
    )
    return Result(done.returncode, sorted(done.stdout.splitlines()), done.stderr)


@pytest.fixture(scope='module')
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('sample')
    for name, text in SAMPLE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        encoding = 'latin-1' if name == 'shop/old.py' else 'utf-8'
        path.write_text(fill(text), encoding=encoding)
    return folder


@pytest.fixture(scope='module')
def by_flake8(sample: Path) -> Result:
    options = ('--isolated', '--select=WNS,E9', '--exclude=.hidden,__pycache__')
    return run(sample, 'flake8', *options, 'shop')


def fill(text: str) -> str:
    return text.replace('{longer}', 'a' * 4097).replace('{long}', 'a' * 65)


def expected() -> list[tuple[str, int, str]]:
    return sorted(
        (name, number, code)
        for name, text in SAMPLE.items()
        for number, line in enumerate(text.split('\n'), start=1)
        for code in re.findall(r'[EWNS]+\d{3}', line.partition('expect ')[2])
    )


def places(lines: list[str]) -> list[tuple[str, int, str]]:
    """Give file, line and code of each line of output."""
    found = [re.fullmatch(r'([^:]+):(\d+):\d+: (\w+) .+', line) for line in lines]
    return sorted((each[1], int(each[2]), each[3]) for each in found if each is not None)


def test_flake8_finds_what_there_is(by_flake8: Result) -> None:
    assert by_flake8.errors == ''
    assert by_flake8.status == 1
    assert places(by_flake8.lines) == expected()


def test_every_code_is_in_the_sample() -> None:
    assert {code for _, _, code in expected()} == {*CODES, 'E999'}


def test_walnats_lint_gives_the_very_same_lines(sample: Path, by_flake8: Result) -> None:
    result = run(sample, 'walnats.cli', 'lint', 'shop')
    assert result == by_flake8


def test_the_core_gives_the_very_same_lines(
    sample: Path, by_flake8: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sample)
    assert sorted(map(str, lint_paths(['shop']))) == by_flake8.lines


def test_walnats_lint_without_findings(sample: Path) -> None:
    assert run(sample, 'walnats.cli', 'lint', 'shop/__init__.py') == (0, [], '')
    ignore = ('--ignore', 'WNS0,E9')
    assert run(sample, 'walnats.cli', 'lint', *ignore) == (0, [], '')


def test_walnats_lint_without_files(tmp_path: Path) -> None:
    (tmp_path / 'notes.txt').touch()
    warning = 'warning: there are no files of Python in .\n'
    assert run(tmp_path, 'walnats.cli', 'lint') == (0, [], warning)


@pytest.mark.parametrize(
    ('arguments', 'error'),
    [
        (['shop', 'nowhere'], "error: there is no file or directory 'nowhere'\n"),
        (
            ['--ignore', 'WNS042, WNS9'],
            "error: --ignore: 'WNS9' is no code of the linter, nor do any begin with it\n",
        ),
    ],
)
def test_walnats_lint_can_not(sample: Path, arguments: list[str], error: str) -> None:
    assert run(sample, 'walnats.cli', 'lint', *arguments) == (1, [], error)


def test_all_codes_are_documented() -> None:
    page = (ROOT / 'docs/linter.md').read_text(encoding='utf-8')
    documented = re.findall(r'^\| `(WNS\d{3})` \| (.+?) \|', page, re.MULTILINE)
    assert [code for code, _ in documented] == list(CODES)
    for code, text in documented:
        assert text.startswith(CODES[code])


def test_the_project_itself_has_no_mistakes() -> None:
    ours = [ROOT / name for name in ('src', 'examples', 'bench')]
    # How often a sample is tried is open where it isn't the subject.
    assert [str(each) for each in lint_paths(ours, ignore=['WNS042'])] == []


def test_the_documentation_has_no_mistakes_but_those_that_it_shows(tmp_path: Path) -> None:
    for page in sorted(ROOT.glob('docs/*.md')):
        for block in read_blocks(page, []):
            if block.is_run:
                path = tmp_path / f'{page.stem}_{block.line}.py'
                path.write_text(f'import walnats\n{block.code}', encoding='utf-8')
    found = list(lint_paths([tmp_path], ignore=['WNS042']))
    assert {describe(each) for each in found} <= {
        ('errors', 'WNS003'),  # an error is provoked to show it
        ('events', 'WNS003'),  # the same; and dots are allowed, and explained
        ('events', 'WNS011'),
        ('linter', 'WNS004'),
        ('linter', 'WNS051'),
    }


def describe(finding: Finding) -> tuple[str, str]:
    return Path(finding.path).stem.partition('_')[0], finding.code


@pytest.mark.parametrize('package', ['asyncio', 'concurrent', 'multiprocessing', 'http', 'email'])
def test_others_have_no_mistakes_of_ours(package: str, tmp_path: Path) -> None:
    """Even if their modules import all of walnats, before their own Event."""
    source = Path(sysconfig.get_path('stdlib'), package)
    for number, path in enumerate(sorted(source.rglob('*.py'))):
        text = path.read_text(encoding='utf-8')
        future = '' if 'from __future__' in text else 'import walnats; from walnats import *; '
        (tmp_path / f'{number}.py').write_text(future + text, encoding='utf-8')
    assert [str(each) for each in lint_paths([tmp_path])] == []
