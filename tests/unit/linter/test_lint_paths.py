"""The linter without flake8: which files, which lines, what can't be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from walnats._linter import lint_paths

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Make: TypeAlias = Callable[[str, str | bytes], None]

BAD = "import walnats\nwalnats.Event('', int)\n"


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Write a file in the current directory, which is the test's own."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, content: str | bytes) -> None:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def lines(*paths: str, ignore: tuple[str, ...] = ()) -> list[str]:
    return [str(finding) for finding in lint_paths(paths or ['.'], ignore=ignore)]


def found_in(*paths: str) -> list[str]:
    return [finding.path for finding in lint_paths(paths)]


def test_a_finding_is_a_line(make: Make) -> None:
    make('a.py', BAD)
    assert lines('a.py') == ['a.py:2:15: WNS001 event name is empty']
    [finding] = lint_paths([Path('a.py')])
    assert finding == ('a.py', 2, 15, 'WNS001', 'event name is empty')


def test_files_of_a_directory(make: Make) -> None:
    skipped = ['.git', '.venv', '.hidden', '__pycache__', 'a.egg', 'CVS', 'env']
    for name in ['b/c/d.py', 'b/a.py', 'a.py', *(f'{folder}/x.py' for folder in skipped)]:
        make(name, BAD)
    make('env/pyvenv.cfg', '')
    make('a.txt', BAD)
    make('script', BAD)
    make('empty.py', '')
    assert found_in('.') == ['./a.py', './b/a.py', './b/c/d.py']
    assert found_in('b', 'a.py', 'b/a.py') == ['b/a.py', 'b/c/d.py', 'a.py']
    assert found_in('script', '.hidden', 'env/x.py') == ['script', '.hidden/x.py', 'env/x.py']


def test_a_path_that_is_not_there(make: Make) -> None:
    make('a.py', BAD)
    with pytest.raises(FileNotFoundError, match='nowhere') as caught:
        lint_paths(['a.py', 'nowhere'])
    assert caught.value.filename == 'nowhere'


def test_codes_to_ignore(make: Make) -> None:
    make('a.py', f"{BAD}walnats.Actor('B', E, f)\n")
    make('b.py', 'x = (\n')
    assert [line.split()[1] for line in lines()] == ['WNS001', 'WNS042', 'WNS024', 'E999']
    assert [line.split()[1] for line in lines(ignore=('WNS02', 'E9'))] == ['WNS001', 'WNS042']
    assert lines(ignore=('WNS', 'E999')) == []
    for wrong in ('WNS07', 'wns', 'E5', ''):
        with pytest.raises(ValueError, match=f"'{wrong}' is no code"):
            lint_paths(['.'], ignore=[wrong])


@pytest.mark.parametrize(
    ('comment', 'is_off'),
    [
        ('# noqa', True),
        ('# NOQA', True),
        ('# fine  # noqa', True),
        ('# noqa because', True),
        ('# noqa: WNS001', True),
        ('# noqa:WNS001', True),
        ('# noqa: WNS001 it is a test', True),
        ('# noqa: E501,WNS001', True),
        ('# noqa: E501 WNS001', True),
        ('# noqa: WNS0', True),
        ('# noqa: WNS002', False),
        ('# noqa: E501', False),
        ('#noqa', False),
        ('# flake8: noqa', False),
    ],
)
def test_a_line_can_be_switched_off(make: Make, comment: str, *, is_off: bool) -> None:
    make('a.py', f"import walnats\nwalnats.Event('', int)  {comment}\n")
    assert lines() == ([] if is_off else ['./a.py:2:15: WNS001 event name is empty'])


@pytest.mark.parametrize(
    ('call', 'is_off'),
    [
        ("Event(\n    '',  # noqa\n    int,\n)", True),
        ("Event(\n    '',\n    int,\n)  # noqa", False),
        ("Event(  # noqa\n    '',\n    int,\n)", False),
        ("Event('', \\\n    int)  # noqa", True),
        ("Event('', int, description='''\n text''')  # noqa", True),
        ("Event('', int, description='''# noqa\n text''')", True),
        ("x = '''\n# noqa\n'''\nEvent('', int)", False),
    ],
)
def test_lines_that_go_together(make: Make, call: str, *, is_off: bool) -> None:
    make('a.py', f'from walnats import Event\n{call}\n')
    assert lines() == [] if is_off else len(lines()) == 1


@pytest.mark.parametrize(
    ('comment', 'is_off'),
    [
        ('# flake8: noqa', True),
        ('  # FLAKE8=noqa', True),
        ("x = ''  # flake8: noqa", False),
        ('# noqa', False),
    ],
)
def test_a_file_can_be_switched_off(make: Make, comment: str, *, is_off: bool) -> None:
    make('a.py', f'{BAD}if x:\n{comment}\n  pass\n')
    assert lines() == [] if is_off else len(lines()) == 1


@pytest.mark.parametrize(
    'content',
    [
        "# coding: latin-1\nfrom walnats import Event\nEvent('\xe4 ', int)\n".encode('latin-1'),
        "# coding: cp1251\nfrom walnats import Event\nEvent('\u0444 ', int)\n".encode('cp1251'),
        "# \xe4\nfrom walnats import Event\nEvent('\xe4 ', int)\n".encode('latin-1'),
        "#\nfrom walnats import Event\nEvent('\xe4 ', int)\n".encode('latin-1'),
        b"\xef\xbb\xbf#\nfrom walnats import Event\nEvent('\xe4 ', int)\n",
        "# coding: unheard-of\nfrom walnats import Event\nEvent('\xe4 ', int)\n".encode(),
        "\ufeff# \xe4\nfrom walnats import Event\nEvent('\xe4 ', int)\n".encode(),
        b"#\r\nfrom walnats import Event\r\nEvent('a ', int)\r\n",
    ],
)
def test_encodings(make: Make, content: bytes) -> None:
    make('a.py', content)
    assert lines() == ["./a.py:3:7: WNS003 event name has invalid symbols: ' '"]


@pytest.mark.parametrize(
    'content', ['x = (\n', 'def f(:\n', 'a\0b', "'''", '(' * 1000, '-' * 100_000 + '1']
)
@pytest.mark.filterwarnings('error')
def test_what_is_not_python_is_a_finding_and_the_rest_goes_on(make: Make, content: str) -> None:
    make('a.py', content)
    make('b.py', BAD)
    first, second = lint_paths(['.'])
    assert (first.path, first.line, first.code) == ('./a.py', 1, 'E999')
    assert first.text.startswith('SyntaxError: ')
    assert len(first.text) > len('SyntaxError: ')
    assert (second.path, second.code) == ('./b.py', 'WNS001')


def test_what_can_not_be_read_is_a_finding_and_the_rest_goes_on(make: Make) -> None:
    Path('loop.py').symlink_to('loop.py')  # for root any file can be read
    make('z.py', BAD)
    first, second = lint_paths(['.'])
    assert str(first).startswith('./loop.py:0:1: E902 OSError: ')
    assert second.path == './z.py'


def test_warnings_of_the_parser_are_nobody_s_business(make: Make) -> None:
    make('a.py', f"x = '\\d'\n{BAD}")
    assert lines() == ['./a.py:3:15: WNS001 event name is empty']


def test_a_deep_tree(make: Make) -> None:
    call = 'x' + '.f()' * 900
    make('a.py', f"import walnats\n{call}\nwalnats.Event('', int)\n")
    assert len(lines()) == 1
