"""The OpenAPI document tells the whole truth, with examples that are what they are examples of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from services.api.codes import CODES
from services.api.openapi import TAGS
from services.api.page import page
from services.api.params import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.api.world import World

UNSAFE = ("post", "put", "patch", "delete")
CHANGING = {"products", "devices", "tags", "shadow"}
"""Groups in which every unsafe call changes something."""


@pytest.fixture
async def document(world: World) -> dict[str, Any]:
    async with world.client({}) as client:
        answer = await client.get("/openapi.json")
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            yield path, method, said


def contents(said: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every body of an operation, asked and answered."""
    yield from said.get("requestBody", {}).get("content", {}).values()
    for answer in said["responses"].values():
        yield from answer.get("content", {}).values()


async def test_every_operation_says_what_it_is_and_who_may_call_it(document: dict[str, Any]) -> None:
    for path, method, said in operations(document):
        assert said["summary"], path
        assert said["description"], path
        assert set(said["tags"]) <= TAGS.keys(), f"{path}: a tag that TAGS does not describe"
        assert ("security" in said) is path.startswith("/v1/"), path
        assert re.findall(r"{(\w+)}", path) == [one["name"] for one in said["parameters"] if one["in"] == "path"]
        takes_key = "Idempotency-Key" in [one["name"] for one in said["parameters"]]
        assert not takes_key or method in UNSAFE, path
        if CHANGING & set(said["tags"]) and {"api_key": []} in said["security"]:
            assert takes_key is (method in UNSAFE), path


async def test_every_body_has_an_example_that_fits_its_schema(document: dict[str, Any]) -> None:
    for path, method, said in operations(document):
        for content in contents(said):
            examples = [one["value"] for one in content.get("examples", {}).values()] or [content.get("example")]
            if path.startswith("/health") or not content["schema"]:  # bytes of any kind
                continue
            assert None not in examples, f"{method} {path} has a body without an example"
            schema = {**content["schema"], "components": document["components"]}
            for example in examples:
                Draft202012Validator(schema).validate(example)


async def test_problems_are_those_of_the_catalogue_under_their_status(document: dict[str, Any]) -> None:
    shown = set[str]()
    for _, _, said in operations(document):
        for status, answer in said["responses"].items():
            for code in answer.get("content", {}).get("application/problem+json", {}).get("examples", {}):
                assert CODES[code].status == int(status)
                shown.add(code)
    everywhere = {"unknown_path", "method_not_allowed"}
    by_one_entry = {name for name in CODES if name.endswith(("_too_large", "_off"))} | {"too_many_tags", "product_busy"}
    assert CODES.keys() - shown - everywhere - by_one_entry - {"repeated_device"} == set()


async def test_names_have_their_pattern_and_unknown_fields_are_refused(document: dict[str, Any]) -> None:
    device = document["components"]["schemas"]["NewDevice"]
    assert device["additionalProperties"] is False
    assert device["properties"]["tags"]["items"]["pattern"] == NAME
    assert device["properties"]["tags"]["maxItems"] == 64


async def test_the_page_shows_every_operation_and_needs_nothing_from_elsewhere(
    world: World, document: dict[str, Any]
) -> None:
    async with world.client({}) as client:
        answer = await client.get("/docs")
    assert answer.text == page(document)
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    for _, _, said in operations(document):
        assert f'id="{said["operationId"]}"' in answer.text
    assert re.findall(r"<(?:script|link|img|iframe)\b|https?://|url\(", answer.text) == []


def test_what_a_description_holds_cannot_become_markup() -> None:
    said = {"operationId": "x", "summary": "<b>", "description": "a < b `c` **d**", "tags": ["t"], "parameters": []}
    text = page(
        {
            "info": {"title": "<t>", "summary": "s", "description": "d"},
            "tags": [{"name": "t", "description": "&"}],
            "paths": {"/<p>": {"get": {**said, "responses": {}}}},
        }
    )
    assert "a &lt; b <code>c</code> <strong>d</strong>" in text
    assert "<b>" not in text
    assert "/&lt;p&gt;" in text
