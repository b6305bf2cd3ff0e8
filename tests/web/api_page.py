"""`docs/api.md`, made of what the page's server says of itself."""

from collections.abc import Iterator
from typing import Any

HEAD = """# What the page's server answers

Made of `/api/openapi.json`, the same for programs. How to get in, and how candles are packed, is told with
[the page](page.md#for-programs). A refusal is `Refusal`, with 401, 403, 409, 422 or 503.
Each question takes `exchange`; without it the first one of the installation is meant. What is asked for with an order
is written as JSON.
"""
_PLAIN = {"integer": "whole number", "number": "number", "string": "text", "boolean": "yes or no"}
_LEFT_OUT = {"HTTPValidationError", "ValidationError"}


def page_of(described: dict[str, Any]) -> str:
    """The whole page."""
    return "\n".join([HEAD, *_addresses(described), "## Words", "", *_words(described)]).rstrip() + "\n"


def _addresses(described: dict[str, Any]) -> Iterator[str]:
    tags: dict[str, list[str]] = {}
    for path, ways in described["paths"].items():
        for way, one in ways.items():
            tags.setdefault(one["tags"][0], []).append(_row(path, way.upper(), one))
    for tag, rows in tags.items():
        yield from (f"## {tag.capitalize()}", "", "| address | asks | answers | |", "|---|---|---|---|", *rows, "")


def _row(path: str, way: str, one: dict[str, Any]) -> str:
    given = [each for each in one.get("parameters", []) if each["in"] == "query" and each["name"] != "exchange"]
    asks = [f"`{each['name']}`{'' if each.get('required') else '?'} {_type(each['schema'])}" for each in given]
    body = one.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    asks += [_type(body)] if body else []
    answer = one["responses"]["200"].get("content", {}).get("application/json", {}).get("schema")
    said = " ".join(one.get("description", one["summary"]).split())
    return f"| `{way} {path}` | {', '.join(asks)} | {_type(answer) if answer else 'bytes'} | {said} |"


def _words(described: dict[str, Any]) -> Iterator[str]:
    for name, one in sorted(described["components"]["schemas"].items()):
        if name in _LEFT_OUT:
            continue
        yield from (
            f"### {name}",
            "",
            " ".join(one.get("description", "").split()),
            "",
            "| field | is | |",
            "|---|---|---|",
        )
        yield from (f"| `{field}` | {_type(of)} | {_example(of)} |" for field, of in one.get("properties", {}).items())
        yield ""


def _example(of: dict[str, Any]) -> str:
    said = of.get("description", "")
    return said if said or not of.get("examples") else f"such as `{of['examples'][0]}`"


def _type(of: dict[str, Any]) -> str:
    if "$ref" in of:
        name = of["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in of:
        return " or ".join("null" if one.get("type") == "null" else _type(one) for one in of["anyOf"])
    if "enum" in of:
        return ", ".join(f"`{one}`" for one in of["enum"])
    if of.get("type") == "array":
        return f"list of {_type(of['items'])}" if of.get("items") else "list"
    if of.get("type") == "object":
        inner = of.get("additionalProperties")
        return f"each name: {_type(inner)}" if isinstance(inner, dict) and inner else "names and values"
    return _PLAIN.get(of.get("type", ""), "anything")
