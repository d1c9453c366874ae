"""The linter: finds mistakes in declarations and in their use, without running the code.

It works as a plugin of flake8 and, for `walnats lint`, by itself. Where it can't know, it says
nothing.

- `lint.py`: paths -> findings, for those without flake8.
- `plugin.py`: a tree -> problems, as flake8 asks for them.
- `check.py`: a tree -> problems; asks the rules.
- `literals.py`, `duplicates.py`, `actors.py`, `awaits.py`: the rules.
- `codes.py`: all codes, and what a problem is.
- `scopes.py`: one walk over a tree: its calls, and what its names are bound to.
- `resolve.py`: what an expression stands for.
- `declarations.py`: the calls that declare something, with their arguments.
- `files.py`, `noqa.py`: which files there are, and which lines are not to be checked.
"""

from .lint import Finding, lint_paths
from .plugin import Flake8Checker

__all__ = ['Finding', 'Flake8Checker', 'lint_paths']
