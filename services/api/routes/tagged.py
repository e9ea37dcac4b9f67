"""Patches by tag: what many devices should be, in one call."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import JSONBody, PathParameter

from services.api import examples, tagged
from services.api.access import needs
from services.api.asking import Asker
from services.api.describe import described
from services.api.hub import Hub
from services.api.params import NAME, ProductId, ShadowName, TagName
from services.api.products import find
from services.api.shadow_documents import TaggedPatch, TaggedPatchProgress

PatchId = Annotated[
    str,
    PathParameter(
        description="`patch_id` of the answer to the patch.",
        examples=[Example(value="m2Tq3Jb6QGqk0dUq2mJ0Zg")],
        schema_extra={"pattern": NAME},
    ),
]
PATCHED: Final = described(
    problems=("unknown_product", "invalid_header", "document_too_deep", "document_too_large"),
    request=examples.SHADOW_PATCH,
    answer=examples.TAGGED_PATCH,
    accepted=True,
)


@post(
    "/tags/{tag:str}/shadow",
    summary="Change what all devices of a tag should be",
    operation_id="patch_tagged_shadows",
    guards=[needs("command")],
    status_code=200,
    opt=PATCHED,
)
async def patch_tagged_shadows(
    data: JSONBody[dict[str, Any]], asker: NamedDependency[Asker], product_id: ProductId, tag: TagName
) -> Response[TaggedPatch]:
    """Merge into desired of every device that carries the tag (a merge patch), and count them.

    202: some partitions of the hub did not answer in time. Their devices are changed as soon as they can, each once;
    the same request with the same `Idempotency-Key` counts them again, and changes none twice.
    """
    return await _patched(asker, product_id, tag, None, data)


@post(
    "/tags/{tag:str}/shadows/{name:str}",
    summary="Change a named shadow of all devices of a tag",
    operation_id="patch_tagged_named_shadows",
    guards=[needs("command")],
    status_code=200,
    opt=PATCHED,
)
async def patch_tagged_named_shadows(
    data: JSONBody[dict[str, Any]],
    asker: NamedDependency[Asker],
    product_id: ProductId,
    tag: TagName,
    name: ShadowName,
) -> Response[TaggedPatch]:
    """Merge into desired of that named shadow, as of the devices' own shadows."""
    return await _patched(asker, product_id, tag, name, data)


@get(
    "/shadow-patches/{patch_id:str}",
    summary="How far is a patch by tag?",
    operation_id="get_tagged_patch",
    guards=[needs("read")],
    opt=described(problems=("unknown_product", "unknown_patch", "too_much"), answer=examples.TAGGED_PATCH_PROGRESS),
)
async def get_tagged_patch(hub: NamedDependency[Hub], product_id: ProductId, patch_id: PatchId) -> TaggedPatchProgress:
    """Tell how many devices were changed or refused, and how many of them have converged since.

    What has just happened may be missing for a moment.
    """
    find(hub, product_id)
    return await tagged.progress(hub, product_id, patch_id)


async def _patched(
    asker: Asker, product_id: str, tag: str, name: str | None, desired: dict[str, Any]
) -> Response[TaggedPatch]:
    find(asker.hub, product_id)
    done = await tagged.patch(asker, product_id, tag, name, desired)
    return Response(done, status_code=202 if done.missing_partitions else 200)


router = Router(
    "/v1/products/{product_id:str}",
    route_handlers=[patch_tagged_shadows, patch_tagged_named_shadows, get_tagged_patch],
    tags=["shadow"],
)
