"""The files of Python to check."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SKIPPED = ('__pycache__', 'CVS')


def find_files(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Give the files, each one once, and those in the directories whose names end in `.py`.

    Directories in them are left out that are hidden, virtual environments, caches or eggs.

    :raises FileNotFoundError: there is nothing of that name.
    """
    return list(dict.fromkeys(file for path in paths for file in _expand(os.fspath(path))))


def _expand(path: str) -> Iterator[str]:
    if not os.path.exists(path):  # noqa: PTH110 -- a Path would turn './a.py' into 'a.py'
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    if not os.path.isdir(path):  # noqa: PTH112 -- the same
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(each for each in folders if not _is_skipped(Path(folder, each)))
        yield from (
            os.path.join(folder, each)  # noqa: PTH118 -- the same
            for each in sorted(files)
            if each.endswith('.py')
        )


def _is_skipped(folder: Path) -> bool:
    return (
        folder.name.startswith('.')
        or folder.name in _SKIPPED
        or folder.suffix == '.egg'
        or (folder / 'pyvenv.cfg').exists()
    )
