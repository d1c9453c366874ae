"""What type checkers say about users' code: no more, and no less, than is marked there.

A line that ends in `# E` must be an error for both of them, one that ends in `# E: mypy` or
`# E: basedpyright` for one of them. No other line of any file here may be one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FILES = sorted(path for path in HERE.glob('*.py') if path != Path(__file__))


def find_marks(checker: str) -> set[tuple[str, int]]:
    mark = re.compile(rf'  # E(: {checker})?$')
    return {
        (path.name, number)
        for path in FILES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if mark.search(line)
    }


def run(*command: str) -> str:
    process = subprocess.run(
        [sys.executable, '-m', *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert process.returncode == 1, process.stdout + process.stderr
    return process.stdout


def run_mypy(scratch: Path) -> set[tuple[str, int]]:
    options = ['--strict', '--explicit-package-bases', '--config-file=', '--no-pretty']
    output = run('mypy', *options, f'--cache-dir={scratch}', *map(str, FILES))
    found = re.findall(r'^(.+\.py):(\d+): error: ', output, re.MULTILINE)
    return {(Path(path).name, int(line)) for path, line in found}


def run_basedpyright(scratch: Path) -> set[tuple[str, int]]:
    config = {
        'include': [os.path.relpath(path, scratch) for path in FILES],
        'extraPaths': [str(ROOT)],
        'typeCheckingMode': 'strict',
    }
    project = scratch / 'pyrightconfig.json'
    project.write_text(json.dumps(config))
    python = f'--pythonpath={sys.executable}'
    output = run('basedpyright', f'--project={project}', python, '--outputjson')
    return {
        (Path(problem['file']).name, problem['range']['start']['line'] + 1)
        for problem in json.loads(output)['generalDiagnostics']
        if problem['severity'] == 'error'
    }


@pytest.mark.timeout(300)
@pytest.mark.parametrize('checker', ['mypy', 'basedpyright'])
def test_checker_finds_what_is_marked_and_nothing_else(checker: str, tmp_path: Path) -> None:
    marked = find_marks(checker)
    found = run_mypy(tmp_path) if checker == 'mypy' else run_basedpyright(tmp_path)
    assert sorted(found - marked) == [], 'errors in code that is right'
    assert sorted(marked - found) == [], 'no errors in code that is wrong'
