"""The official schema of AsyncAPI documents, and the services that several tests describe."""

from __future__ import annotations

import io
import json
import os
import tarfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft7Validator

if TYPE_CHECKING:
    from collections.abc import Callable

LOCAL = Path(__file__).parents[4] / 'shared/specs/asyncapi-3.1.0.schema.json'
PACKAGE = 'https://registry.npmjs.org/@asyncapi/specs/-/specs-6.11.1.tgz'
MEMBER = 'package/schemas/3.1.0-without-$id.json'


@pytest.fixture(scope='session')
def check_document(pytestconfig: pytest.Config) -> Callable[[dict[str, Any]], None]:
    """Check a document by the official schema, and that it is plain JSON."""
    validator = Draft7Validator(json.loads(find_schema(pytestconfig).read_text(encoding='utf-8')))

    def check(document: dict[str, Any]) -> None:
        plain = json.loads(json.dumps(document, allow_nan=False))
        assert plain == document
        validator.validate(plain)

    return check


def find_schema(config: pytest.Config) -> Path:
    """Find the schema beside the project, else get it from npm and keep it."""
    if LOCAL.exists():
        return LOCAL
    kept = config.cache.mkdir('asyncapi') / '3.1.0.json'
    if not kept.exists():
        try:
            with urllib.request.urlopen(PACKAGE, timeout=20) as response:
                package = response.read()
        except OSError as exc:
            pytest.skip(f"the schema of AsyncAPI can't be had from {PACKAGE}: {exc}")
        with tarfile.open(fileobj=io.BytesIO(package)) as archive:
            member = archive.extractfile(MEMBER)
            assert member is not None
            # Another process may look for it meanwhile: it's there as a whole or not at all.
            part = kept.with_suffix(f'.{os.getpid()}')
            part.write_bytes(member.read())
            part.replace(kept)
    return kept
