"""`walnats describe`: the services of a system as documents and diagrams."""

import json
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..services import Services
from ._app import app
from ._errors import CommandError
from ._target import load_as


class Format(Enum):
    """What a description may be."""

    JSON = 'json'
    YAML = 'yaml'
    D2 = 'd2'
    MERMAID = 'mermaid'


@app.command()
def describe(
    target: Annotated[
        str, typer.Argument(metavar='MODULE:SERVICES', help='A `Services`.', show_default=False)
    ],
    *,
    kind: Annotated[
        Format,
        typer.Option(
            '--format', '-f', help='AsyncAPI as JSON or YAML, or a diagram for D2 or Mermaid.'
        ),
    ] = Format.JSON,
    output: Annotated[
        Path | None,
        typer.Option('--output', '-o', metavar='FILE', dir_okay=False, help='Write it to a file.'),
    ] = None,
) -> None:
    """Describe services: who emits which events, and who handles them.

    **Example:** `walnats describe shop.services:SERVICES --format mermaid --output shop.mmd`
    """
    text = _describe(load_as(target, Services), kind)
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding='utf-8')
    except OSError as error:
        raise CommandError(f"the description can't be written: {error}") from error


def _describe(services: Services, kind: Format) -> str:
    match kind:
        case Format.JSON:
            text = json.dumps(services.get_async_api(), indent=2, ensure_ascii=False)
        case Format.YAML:
            text = _to_yaml(services.get_async_api())
        case Format.D2:
            text = services.get_d2()
        case Format.MERMAID:
            text = services.get_mermaid()
    return text.rstrip('\n') + '\n'


def _to_yaml(document: dict[str, Any]) -> str:
    import yaml  # noqa: PLC0415 -- only this format needs it

    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return text
