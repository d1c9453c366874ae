"""Sees when code changes, for `--reload`."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

from watchfiles import PythonFilter, awatch

from ._errors import CommandError

# Milliseconds. Changes that come in such steps are one: an editor may write a file in pieces.
_STEP = 50


async def watch_code(directory: Path, on_change: Callable[[list[str]], None]) -> None:
    """Call back with the files of Python that change in the directory, until cancelled.

    :raises CommandError: the system can't watch so many files.
    """
    try:
        async for changes in awatch(directory, watch_filter=PythonFilter(), step=_STEP):
            paths = sorted({Path(path) for _, path in changes})
            for path in paths:
                _forget_bytecode(path)
            on_change([str(path.relative_to(directory)) for path in paths])
    except OSError as error:
        raise CommandError(f"--reload: {directory} can't be watched: {error}") from error


def _forget_bytecode(path: Path) -> None:
    """Remove what Python has compiled.

    It takes a file for the same if its size is, and its time in whole seconds: that isn't enough
    for one who edits fast.
    """
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
