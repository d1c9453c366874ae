"""How Sphinx builds the documentation: `make docs`."""

from __future__ import annotations

import dataclasses
import inspect
from enum import Enum
from typing import TYPE_CHECKING, Any, is_typeddict

from sphinx.addnodes import desc_annotation

import walnats
from walnats.cli._reference import reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sphinx.addnodes import desc_content
    from sphinx.application import Sphinx

project = 'walnats'
author = 'the authors of walnats'
release = walnats.__version__
extensions = ['myst_parser', 'sphinx.ext.autodoc']
exclude_patterns = ['_build']

myst_heading_anchors = 3

# In docstrings single backticks are code, as they are in Markdown.
default_role = 'code'
autodoc_default_options = {
    'members': True,
    'member-order': 'bysource',
    'undoc-members': True,
}
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True

html_theme = 'furo'
html_static_path = ['_static']
html_css_files = ['beside.css', 'tables.css']
html_title = f'walnats {release}'
html_show_copyright = False
html_copy_source = False

_COMMANDS = '<!-- commands -->'


def setup(app: Sphinx) -> None:
    """Have docstrings and signatures read as they are meant."""
    app.connect('source-read', _add_commands)
    app.connect('autodoc-process-docstring', _mark_code)
    app.connect('autodoc-process-signature', _shorten_signature)
    app.connect('object-description-transform', _drop_value)


def _add_commands(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Put the reference of the command line where it is asked for."""
    if _COMMANDS in source[0]:
        source[0] = source[0].replace(_COMMANDS, reference())


def _mark_code(
    _app: Sphinx, _what: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Make what is indented a literal block: in our docstrings that is code."""
    lines[:] = _with_marks(_blocks(lines))


def _blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    """Give the blocks of lines that empty lines divide."""
    block: list[str] = []
    for line in [*lines, '']:
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []


def _with_marks(blocks: Iterable[list[str]]) -> Iterator[str]:
    may_start = True
    for block in blocks:
        if _is_code_without_indent(block):
            block[:] = [f'    {line}' for line in block]
        is_indented = block[0].startswith(' ')
        if is_indented and may_start:
            yield from ('::', '')
        yield from (*block, '')
        # What is indented after code is more code, after a list it belongs to the list.
        may_start = not is_indented and not block[0].startswith((':', '- ', '* '))
        may_start = may_start and not block[-1].endswith('::')


def _is_code_without_indent(block: list[str]) -> bool:
    """Tell code by its colon, where nothing in the docstring is indented less."""
    is_field = block[0].startswith(':')
    return not is_field and len(block) > 1 and block[0].endswith(':') and block[1].startswith(' ')


def _shorten_signature(
    _app: Sphinx,
    what: str,
    name: str,
    obj: Any,
    _options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Write defaults as one would write them, and no arguments of what nobody creates."""
    if what != 'class' or is_typeddict(obj):
        return signature, returns
    if name.startswith('walnats.types.') or issubclass(obj, Enum):
        return '', None
    if not dataclasses.is_dataclass(obj):
        return signature, returns
    return _describe_signature(obj), None


def _drop_value(_app: Sphinx, _domain: str, kind: str, content: desc_content) -> None:
    """Leave out the value of an attribute: the signature of the class has the defaults."""
    if kind == 'attribute':
        for note in list(content.parent.findall(desc_annotation)):
            if note.parent.parent is content.parent and note.astext().startswith(' = '):
                note.parent.remove(note)


def _describe_signature(cls: Any) -> str:
    parameters = inspect.signature(cls).parameters.values()
    short = [
        each.replace(annotation=each.empty, default=_written(each.default)) for each in parameters
    ]
    return str(inspect.Signature(short))


class _Written:
    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _written(value: Any) -> Any:
    """Give something whose repr is how one would write the value."""
    if isinstance(value, Enum):
        return _Written(str(value))
    if isinstance(value, type) and value is not inspect.Parameter.empty:
        return _Written(value.__name__)
    if dataclasses.is_dataclass(value):
        return _Written(f'{type(value).__name__}({_arguments(value)})')
    return value


def _arguments(instance: Any) -> str:
    """Give the fields of a dataclass that don't have their default."""
    fields = [field for field in dataclasses.fields(instance) if field.init]
    values = {field: getattr(instance, field.name) for field in fields}
    changed = {field.name: value for field, value in values.items() if value != field.default}
    return ', '.join(f'{name}={_written(value)!r}' for name, value in changed.items())
