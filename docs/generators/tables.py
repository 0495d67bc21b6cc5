"""Tables of the fields of pydantic classes."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined


def table_of(model: type[BaseModel]) -> str:
    """A row for each field: its name in the file, its type, its default, and the text below it in the source."""
    notes = _notes(model)
    rows = ["| key | value | default | |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else _default(field)
        note = field.description or notes.get(name, "")
        rows.append(f"| `{field.alias or name}` | {_words(field.annotation)} | {default} | {note} |")
    return "\n".join(rows)


def models_of(root: type[BaseModel]) -> list[type[BaseModel]]:
    """A class and all that its fields hold, each once, in the order in which they are met."""
    found = [root]
    for model in found:
        for field in model.model_fields.values():
            found += [held for held in _held(field.annotation) if held not in found]
    return found


def _held(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return list(dict.fromkeys(held for each in get_args(annotation) for held in _held(each)))


def _notes(model: type[BaseModel]) -> dict[str, str]:
    """The strings that stand below fields in the source, by field."""
    notes: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not issubclass(base, BaseModel) or base is BaseModel:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, note in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(note, ast.Expr) and isinstance(note.value, ast.Constant):
                notes[ast.unparse(field.target)] = " ".join(str(note.value.value).split())
    return notes


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return ""
    if isinstance(value, BaseModel):
        return "its own defaults"
    return "empty" if value in ((), {}, [], "") else f"`{value}`"


def _words(annotation: Any) -> str:
    """A type in the words of a file format."""
    names = {str: "text", int: "number", float: "number", bool: "true or false", type(None): "null", Any: "any"}
    if annotation in names:
        return names[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    if str(origin) == "typing.Literal":
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is Annotated:
        return _words(arguments[0])
    if origin in (tuple, list, frozenset, set):
        return f"list of {_words(arguments[0])}" if arguments else "list"
    if origin is dict or "Mapping" in str(origin):
        return f"mapping of {_words(arguments[0])} to {_words(arguments[1])}"
    if arguments:
        return " or ".join(dict.fromkeys(_words(each) for each in arguments if not isinstance(each, FieldInfo)))
    return re.sub(r"<.*'(.*)'>", r"\1", str(annotation))
