"""Where the contenders run: `make bench` makes an environment of each list in `packages`."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEFAULT = ROOT / '.bench'

# What can do without an environment of its own, where the library is at hand.
_MODULES = {'walnats': 'walnats', 'nats-py': 'nats'}
_PACKAGES = ['walnats', 'nats-py', 'faststream', 'taskiq', 'taskiq-nats']
_PACKAGES += ['msgspec', 'pydantic', 'uvloop']
_VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


class Environments:
    """The interpreters of all environments that there are.

    :param folder: where `make bench` makes them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def python(self, name: str) -> Path | None:
        """Give the interpreter of an environment, or None if there isn't any."""
        python = self._folder / name / 'bin' / 'python'
        if python.exists():
            return python
        at_hand = name in _MODULES and find_spec(_MODULES[name])
        return Path(sys.executable) if at_hand else None

    def versions(self) -> dict[str, dict[str, str]]:
        """Give the versions of the packages that matter, by environment."""
        names = sorted(path.stem for path in Path(__file__).parent.glob('packages/*.txt'))
        pythons = {name: self.python(name) for name in names}
        return {name: _versions(python) for name, python in pythons.items() if python}


def _versions(python: Path) -> dict[str, str]:
    command = [str(python), '-c', _VERSIONS, *_PACKAGES]
    run = subprocess.run(command, check=True, capture_output=True, cwd=ROOT)  # noqa: S603 -- ours
    output = run.stdout
    versions: dict[str, str] = json.loads(output)
    return versions
