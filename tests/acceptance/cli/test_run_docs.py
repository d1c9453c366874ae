"""The examples for systemd and Kubernetes are ones that work."""

from __future__ import annotations

import configparser
import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import yaml
from typer.core import TyperGroup
from typer.main import get_command

from walnats.cli._app import app
from walnats.cli._control import CLOSING_TIME

PAGE = Path(__file__).parents[3] / 'docs' / 'running-in-production.md'


def blocks(language: str) -> list[str]:
    return re.findall(rf'^```{language}\n(.*?)^```$', PAGE.read_text(), re.MULTILINE | re.DOTALL)


def read_options(command: list[str]) -> dict[str, Any]:
    """Give the options of `walnats run`, or raise if it isn't called so."""
    assert command[0].endswith('walnats')
    assert command[1] == 'run'
    importlib.import_module('walnats.cli.run')
    program = get_command(app)
    assert isinstance(program, TyperGroup)
    return program.commands['run'].make_context('run', command[2:]).params


def test_systemd() -> None:
    unit = configparser.ConfigParser()
    unit.read_string(blocks('ini')[0])
    command = shlex.split(unit['Service']['ExecStart'])
    options = read_options(command)
    assert float(unit['Service']['TimeoutStopSec']) > options['grace'] + CLOSING_TIME


def test_kubernetes() -> None:
    deployment, rules = (yaml.safe_load(block) for block in blocks('yaml'))
    pod: dict[str, Any] = deployment['spec']['template']['spec']
    (container,) = pod['containers']
    command = [*container['command'], *container['args']]
    options = read_options(command)
    assert pod['terminationGracePeriodSeconds'] > options['grace'] + CLOSING_TIME
    ports = {port['name']: port['containerPort'] for port in container['ports']}
    assert options['health_port'] == ports['health']
    assert len(rules['groups'][0]['rules']) == 6


def test_the_alerts_are_on_metrics_that_exist() -> None:
    page = PAGE.read_text()
    named = set(re.findall(r'\bwalnats_\w+', blocks('yaml')[1]))
    assert named
    assert all(f'`{name}`' in page for name in named)
