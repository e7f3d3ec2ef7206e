"""The declaration for editors (JSON Schema) and for people (Markdown), both read off the model."""

import ast
import json
from pathlib import Path
from typing import Any

from pennant.declaration import model, model_data
from pennant.declaration.loader import MODEL_PARTS
from pennant.declaration.model import UseCase

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `use_case.yaml`, with the model's words as descriptions.

    It holds what single fields ask; what one field asks of another only the loader knows.
    """
    schema = UseCase.model_json_schema(by_alias=True)
    words = _words()
    for name, part in {**schema.get("$defs", {}), "UseCase": schema}.items():
        for field, entry in part.get("properties", {}).items():
            said = words.get((name, "with_" if field == "with" else field))
            # Beside a $ref other keywords count too since draft 2019-09.
            if said:
                entry["description"] = said
    # A use case may end with its features, or with its training; what is served declares all of the rest.
    served = ["training", *MODEL_PARTS]
    schema["required"] = [name for name in schema["required"] if name not in served]
    schema["dependentRequired"] = dict.fromkeys(MODEL_PARTS, served)
    return {"$schema": DIALECT, **schema}


def reference() -> str:
    """A Markdown table per part: field, type, whether it has to be there, and what it means."""
    schema = json_schema()
    parts = {"UseCase": schema, **schema["$defs"]}
    words = _words()
    lines: list[str] = []
    for name in _order():
        if name not in parts:
            continue
        said = words.get((name, ""), "")
        lines += [f"### {name}", "", said, ""] if said else [f"### {name}", ""]
        lines += ["| field | type | default | meaning |", "| --- | --- | --- | --- |"]
        required = set(parts[name].get("required", []))
        for field, entry in parts[name].get("properties", {}).items():
            default = "required" if field in required else _default(entry.get("default"))
            if name == "UseCase" and field in ("training", *MODEL_PARTS):
                default = "with a model" if field == "training" else "with one that is served"
            meaning = " ".join(entry.get("description", "").split())
            lines.append(f"| `{field}` | {_type(entry)} | {default} | {meaning} |".replace("|  |", "| |"))
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _default(value: object) -> str:
    return "optional" if value is None else f"`{json.dumps(value)}`"


def _type(entry: dict[str, Any]) -> str:
    if "$ref" in entry:
        name = entry["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "enum" in entry or "const" in entry:
        return " or ".join(f"`{each}`" for each in entry.get("enum", [entry.get("const")]))
    if "anyOf" in entry:
        return " or ".join(_type(each) for each in entry["anyOf"] if each.get("type") != "null")
    if entry.get("type") == "array":
        return f"list of {_type(entry['items'])}{_limits(entry)}"
    if entry.get("type") == "object":
        values = entry.get("additionalProperties")
        kinds = [
            *entry.get("patternProperties", {}).values(),
            *([values] if isinstance(values, dict) else []),
        ]
        return f"names to {_type(kinds[0])}" if kinds else "mapping"
    name = "moment" if entry.get("format") == "date-time" else str(entry.get("type", "any"))
    return name + _limits(entry)


def _limits(entry: dict[str, Any]) -> str:
    signs = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    found = [f"{sign} {entry[key]:g}" for key, sign in signs.items() if key in entry]
    counts = {"minItems": "at least", "maxItems": "at most"}
    found += [f"{words} {entry[key]}" for key, words in counts.items() if key in entry]
    return f" ({', '.join(found)})" if found else ""


def _classes() -> list[ast.ClassDef]:
    trees = [ast.parse(Path(str(each.__file__)).read_text(encoding="utf-8")) for each in (model_data, model)]
    return [node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]


def _order() -> list[str]:
    names = [each.name for each in _classes()]
    return ["UseCase", *(name for name in names if name not in {"UseCase", "TrainedUseCase", "DataUseCase"})]


def _words() -> dict[tuple[str, str], str]:
    """Docstrings of the model's classes (field "") and of their fields, which Python does not keep."""
    words: dict[tuple[str, str], str] = {}
    for node in _classes():
        # A part has the fields of those it builds on, and their words.
        for base in [each.id for each in node.bases if isinstance(each, ast.Name)]:
            words |= {(node.name, field): said for (name, field), said in words.items() if name == base}
        words[node.name, ""] = ast.get_docstring(node) or ""
        for before, after in zip(node.body, node.body[1:], strict=False):
            named = isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name)
            said = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if named and said:
                words[node.name, before.target.id] = str(after.value.value)  # type: ignore[attr-defined]
    return words
