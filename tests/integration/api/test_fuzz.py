"""The real API against its own OpenAPI document: whatever is sent, it answers as documented, and never with a fault.

What is sent is drawn the same way in every run.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as openapi_checks

from tests.integration.api.calling import access

if TYPE_CHECKING:
    from devstack.stack import Stack

DOCUMENT = json.loads((Path(__file__).parents[3] / "docs/openapi.json").read_text(encoding="utf-8"))
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = {
    said["operationId"]: (path, method)
    for path, methods in DOCUMENT["paths"].items()
    for method, said in methods.items()
    if said.get("x-stream") is not True
}
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
]
EXAMPLES = 16
WAITS = re.compile("[1-9][0-9]?s")
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
"""What the document allows, and what it does not."""


@pytest.fixture(scope="module")
def inhabited(stack: Stack) -> Stack:
    """A stack in which the ids of the document's examples exist, so that not everything is unknown."""
    found = access(stack)
    with httpx.Client(base_url=found.url, headers={"Authorization": f"Bearer {found.key}"}, timeout=30) as client:
        assert client.post("/v1/products", json={"product_id": "plant-7"}).status_code in (201, 409)
        registered = client.post("/v1/products/plant-7/devices", json={"device_id": "press-1"})
        assert registered.status_code in (201, 409)
    return stack


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_what_is_sent_is_answered_as_documented(inhabited: Stack, operation_id: str) -> None:
    path, method = OPERATIONS[operation_id]
    found = access(inhabited)
    session_headers = {"Authorization": f"Bearer {found.key}"}

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(*(SCHEMA[path][method].as_strategy(generation_mode=mode) for mode in MODES)))
    def fuzz(case: schemathesis.Case[Any]) -> None:
        if WAITS.fullmatch(str((case.query or {}).get("wait"))):
            case.query["wait"] = "1s"  # no device reports: every second of it would be waited for
        if operation_id == "probe_device":
            case.path_parameters["device_id"] = "nobody"  # where no downlink runs, each probe takes its time in vain
        case.call_and_validate(base_url=found.url, headers=session_headers, checks=CHECKS)

    fuzz()
