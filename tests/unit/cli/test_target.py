"""What MODULE:NAME stands for, and what is said if it isn't there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

import walnats
from walnats.cli._errors import CommandError
from walnats.cli._target import load, load_as, wrong_target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHOP = """
import walnats

EVENT = walnats.Event('paid', int)
ACTORS = walnats.Actors(walnats.Actor('ship', EVENT, print))
LIMIT = 3
_hidden = 4
"""
FAILING = """
def main():
    return missing

VALUE = main()
"""


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    package = tmp_path / 'shop'
    package.mkdir()
    for name, source in {
        '__init__': '',
        'workers': SHOP,
        'broken': 'def broken(:\n',
        'failing': FAILING,
        'quitting': 'import sys\nsys.exit(3)',
        'needy': 'import not_installed',
        'json': "import json\njson.loads('{')",
        'wrong': "import walnats\nwalnats.Event('a b', int)",
    }.items():
        (package / f'{name}.py').write_text(source)
    (tmp_path / 'till.py').write_text('')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', [*sys.path])
    yield
    for name in [name for name in sys.modules if name.partition('.')[0] in {'shop', 'till'}]:
        del sys.modules[name]


def test_what_is_there() -> None:
    assert load('shop.workers:LIMIT') == 3
    assert len(load_as('shop.workers:ACTORS', walnats.Actors)) == 1


@pytest.mark.parametrize(
    ('target', 'problem'),
    [
        ('shop.workers', "'shop.workers' must be MODULE:NAME, such as shop.workers:ACTORS"),
        (':ACTORS', "':ACTORS' must be MODULE:NAME, such as shop.workers:ACTORS"),
        ('shop.workers:a.b', 'must be MODULE:NAME'),
        ('shop.workers:ACTOR', "there is no 'ACTOR'; of that kind there is ACTORS"),
        ('till:ACTORS', "'till:ACTORS': there is no 'ACTORS'; there is nothing"),
        ('shop.workers:LIMIT', 'is 3, not Actors; of that kind there is ACTORS'),
        ('shpo:ACTORS', "there is no module 'shpo' in {here}, nor where else Python looks"),
        ('shpo:ACTORS', '; there is shop, till'),
        ('shop.worker:ACTORS', "there is no module 'shop.worker' in 'shop'; there is broken, "),
        ('till.worker:ACTORS', "no module 'till.worker' because 'till' is no package"),
        ('shop.broken:A', "can't be imported: SyntaxError: invalid syntax ({here}/shop/broken.py"),
        ('shop.failing:A', "NameError: name 'missing' is not defined ({here}/shop/failing.py, "),
        ('shop.failing:A', 'line 3)'),
        ('shop.quitting:A', "can't be imported: SystemExit: 3 ({here}/shop/quitting.py, line 2)"),
        ('shop.needy:A', "No module named 'not_installed' ({here}/shop/needy.py, line 1)"),
        ('shop.json:A', 'shop/json.py, line 2)'),  # not where in Python's own code
        ('shop.wrong:A', 'shop/wrong.py, line 2)'),  # not where in walnats it was found
    ],
)
def test_what_is_not(target: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        load_as(target, walnats.Actors)
    assert problem.replace('{here}', str(tmp_path)) in str(caught.value)
    assert '\n' not in str(caught.value)


def test_what_else_it_might_have_been() -> None:
    error = wrong_target('till:NAME', 3, walnats.Actors, ', nor a factory')
    assert str(error) == "'till:NAME' is 3, not Actors, nor a factory"
