"""The OpenAPI document as one page for people: plain HTML, no scripts, nothing fetched from anywhere. Pure."""

from __future__ import annotations

import json
import re
from html import escape
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --get: #1769aa; --post: #2e7d32; --put: #b26a00;
  --patch: #7b4bb3; --delete: #b3261e }
* { box-sizing: border-box }
body { margin: 0; font: 15px/1.55 system-ui, sans-serif; display: grid; grid-template-columns: 19rem minmax(0, 1fr) }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1.2rem; border-right: 1px solid var(--line);
  font-size: 13px }
nav a { display: block; text-decoration: none; color: inherit; padding: .15rem 0; overflow-wrap: anywhere }
nav a:hover { text-decoration: underline }
nav h2 { font-size: 12px; text-transform: uppercase; letter-spacing: .06em; margin: 1.2rem 0 .3rem; opacity: .7 }
main { padding: 1.5rem 2.5rem 6rem; max-width: 62rem }
section { border-top: 1px solid var(--line); padding-top: 1rem; margin-top: 2rem }
h1 { margin: 0 } h3 { margin: 0 0 .3rem }
code, pre, .path { font: 13px/1.5 ui-monospace, monospace }
code { background: var(--soft); border-radius: 3px; padding: .05em .3em }
pre { background: var(--soft); border-radius: 6px; padding: .8rem 1rem; overflow: auto; margin: .4rem 0 }
.verb { font: 700 11px/1 ui-monospace, monospace; color: #fff; border-radius: 3px; padding: .25em .5em;
  margin-right: .5em }
.get { background: var(--get) } .post { background: var(--post) } .put { background: var(--put) }
.patch { background: var(--patch) } .delete { background: var(--delete) }
table { border-collapse: collapse; width: 100%; font-size: 14px; margin: .4rem 0 }
td, th { text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); padding: .35rem .8rem .35rem 0 }
th { font-size: 12px; opacity: .7 }
summary { cursor: pointer; margin-top: .5rem }
h4 { margin: 1rem 0 .2rem; font-size: 13px }
@media (max-width: 50rem) { body { display: block } nav { position: static; height: auto } main { padding: 1rem } }
"""


def page(document: Mapping[str, Any]) -> str:
    """Write the page of a whole document."""
    info = document["info"]
    groups = {tag["name"]: tag["description"] for tag in document["tags"]}
    operations = [
        (path, method, said) for path, methods in document["paths"].items() for method, said in methods.items()
    ]
    by_group = {name: [one for one in operations if name in one[2]["tags"]] for name in groups}
    body = [
        f"<nav><strong>{escape(info['title'])}</strong>",
        '<a href="/openapi.json">openapi.json</a><a href="#codes">Problem codes</a>',
        *(line for name, listed in by_group.items() for line in _menu(name, listed)),
        "</nav><main>",
        f"<h1>{escape(info['title'])}</h1><p>{_text(info['summary'])}</p>",
        _paragraphs(info["description"]),
    ]
    for name, listed in by_group.items():
        body.append(f'<h2 id="{escape(name)}">{escape(name)}</h2><p>{_text(groups[name])}</p>')
        body += [_operation(path, method, said, document) for path, method, said in listed]
    body += [_codes(operations), "</main>"]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(info['title'])}</title><style>{STYLE}</style>"
    )
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>\n'


def _menu(name: str, listed: Iterable[tuple[str, str, Mapping[str, Any]]]) -> Iterator[str]:
    yield f"<h2>{escape(name)}</h2>"
    for _, method, said in listed:
        yield f'<a href="#{said["operationId"]}">{_verb(method)}{escape(said["summary"])}</a>'


def _operation(path: str, method: str, said: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    parts = [
        f'<section id="{said["operationId"]}"><h3>{escape(said["summary"])}</h3>',
        f'<p class="path">{_verb(method)}{escape(path)}</p>{_paragraphs(said["description"])}',
    ]
    if said["parameters"]:
        rows = [
            (f"<code>{escape(one['name'])}</code>", escape(one["in"]), _type(one["schema"]), _text(one["description"]))
            for one in said["parameters"]
        ]
        parts.append("<h4>Parameters</h4>" + _table(("name", "in", "value", "meaning"), rows))
    if "requestBody" in said:
        content = next(iter(said["requestBody"]["content"].values()))
        parts.append("<h4>Body</h4>" + _body(content, document))
    for status, answer in said["responses"].items():
        if int(status) < 400:
            content = next(iter(answer.get("content", {"": {}}).values()))
            parts.append(f"<h4>{status} {escape(answer['description'])}</h4>" + _body(content, document))
    return "".join([*parts, _problems(said), "</section>"])


def _body(content: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """Fields of a body, as far as it is an object that the document names, and its example."""
    parts = []
    reference = content.get("schema", {}).get("$ref", "")
    if reference:
        schema = document["components"]["schemas"][reference.rpartition("/")[2]]
        needed = schema.get("required", ())
        rows = [
            (
                f"<code>{escape(name)}</code>{'' if name in needed else ' <small>optional</small>'}",
                _type(one),
                _said(one),
            )
            for name, one in schema.get("properties", {}).items()
        ]
        parts.append(f"<details><summary>Fields</summary>{_table(('field', 'value', 'meaning'), rows)}</details>")
    if "example" in content:
        parts.append(f"<pre>{escape(json.dumps(content['example'], indent=2, ensure_ascii=False))}</pre>")
    return "".join(parts)


def _problems(said: Mapping[str, Any]) -> str:
    rows = [
        (status, f"<code>{escape(code)}</code>", escape(example["summary"]), _text(example["value"]["advice"]))
        for status, answer in said["responses"].items()
        for code, example in answer.get("content", {}).get("application/problem+json", {}).get("examples", {}).items()
    ]
    return f"<details><summary>Problems</summary>{_table(('status', 'code', 'meaning', 'advice'), rows)}</details>"


def _codes(operations: Iterable[tuple[str, str, Mapping[str, Any]]]) -> str:
    """All codes that any operation may answer with, each once."""
    known: dict[str, tuple[str, ...]] = {}
    for _, _, said in operations:
        for status, answer in said["responses"].items():
            content = answer.get("content", {}).get("application/problem+json", {})
            for code, example in content.get("examples", {}).items():
                value = example["value"]
                known[code] = (
                    f"<code>{escape(code)}</code>",
                    status,
                    escape(example["summary"]),
                    _text(value["advice"]),
                )
    rows = [known[code] for code in sorted(known)]
    return (
        '<section id="codes"><h2>Problem codes</h2>'
        + _table(("code", "status", "meaning", "advice"), rows)
        + "</section>"
    )


def _type(schema: Mapping[str, Any]) -> str:
    """Say a schema in a few words; a named one by its name."""
    if "$ref" in schema:
        return escape(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(one))}</code>" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return escape(str(schema.get("type", "anything")))


def _said(schema: Mapping[str, Any]) -> str:
    return _text(schema.get("description", ""))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return f"<table>{''.join(lines)}</table>"


def _verb(method: str) -> str:
    return f'<span class="verb {escape(method)}">{escape(method.upper())}</span>'


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_text(part)}</p>" for part in text.split("\n\n"))


def _text(text: str) -> str:
    """Escape, and honour the little Markdown that descriptions hold: code and bold."""
    shown = re.sub(r"``?([^`]+)``?", r"<code>\1</code>", escape(text, quote=False))
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", shown)
