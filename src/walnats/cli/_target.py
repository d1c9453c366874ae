"""Finds what MODULE:NAME stands for, and says what is there instead if it isn't.

The current directory is searched first, as by `python -m`.
"""

import importlib
import pkgutil
import sys
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from .._checks import show
from ._errors import CommandError

T = TypeVar('T')

_MOST_NAMES = 20


def load(target: str, wanted: type[Any] = object) -> Any:
    """Give what the target names.

    :param wanted: if it isn't there, what the hint should name first.
    :raises CommandError: it can't be imported, or it isn't there.
    """
    module, name = _find(target)
    if not hasattr(module, name):
        raise CommandError(f"'{target}': there is no '{name}'{_instead(module, wanted)}")
    return getattr(module, name)


def load_as(target: str, wanted: type[T]) -> T:
    """Like `load`, and refuse what isn't an instance of that class."""
    value = load(target, wanted)
    if isinstance(value, wanted):
        return value
    raise wrong_target(target, value, wanted)


def wrong_target(target: str, value: Any, wanted: type, or_else: str = '') -> CommandError:
    """Say that the target is something else, and which names in its module would do."""
    module, _ = _find(target)
    instead = _instead(module, wanted) if _fitting(module, wanted) else ''
    return CommandError(f"'{target}' is {show(value)}, not {wanted.__name__}{or_else}{instead}")


def describe_error(error: BaseException) -> str:
    """Say what went wrong in code of the user's, and in which of their lines."""
    if isinstance(error, SyntaxError):
        return f'{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno})'
    what = f'{type(error).__name__}: {error}'
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if _is_theirs(frame.filename)
    ]
    return f'{what} ({frames[-1].filename}, line {frames[-1].lineno})' if frames else what


def _is_theirs(filename: str) -> bool:
    """If the code is neither Python's own nor ours."""
    if filename.startswith(('<', str(Path(__file__).parents[1]))):
        return False
    return 'site-packages' in filename or not filename.startswith(sysconfig.get_path('stdlib'))


def _find(target: str) -> tuple[ModuleType, str]:
    module, _, name = target.partition(':')
    if not module or not name.isidentifier():
        raise CommandError(f"'{target}' must be MODULE:NAME, such as shop.workers:ACTORS")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return _import(module, target), name


def _import(name: str, target: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f'{name}.'.startswith(f'{error.name}.'):
            raise _not_importable(error, target) from error
        raise CommandError(f"'{target}': {_missing(error.name)}") from error
    except (Exception, SystemExit) as error:
        raise _not_importable(error, target) from error


def _not_importable(error: BaseException, target: str) -> CommandError:
    return CommandError(f"'{target}' can't be imported: {describe_error(error)}")


def _missing(name: str) -> str:
    """Say that there is no such module, and which ones are beside the place where it would be."""
    package, _, _ = name.rpartition('.')
    if not package:
        where, paths = f'in {Path.cwd()}, nor where else Python looks', [str(Path.cwd())]
    else:
        paths = list(getattr(sys.modules[package], '__path__', ()))
        where = f"in '{package}'" if paths else f"because '{package}' is no package"
    names = sorted(module.name for module in pkgutil.iter_modules(paths))
    there = f'; there is {_listed(names)}' if names else ''
    return f"there is no module '{name}' {where}{there}"


def _instead(module: ModuleType, wanted: type) -> str:
    fitting = _fitting(module, wanted)
    if fitting and wanted is not object:
        return f'; of that kind there is {_listed(fitting)}'
    return f'; there is {_listed(_public(module))}'


def _fitting(module: ModuleType, wanted: type) -> list[str]:
    return [name for name in _public(module) if isinstance(getattr(module, name), wanted)]


def _public(module: ModuleType) -> list[str]:
    return [name for name in vars(module) if not name.startswith('_')]


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f' and {len(names) - _MOST_NAMES} more' if len(names) > _MOST_NAMES else ''
    return (', '.join(names[:_MOST_NAMES]) + more) or 'nothing'
