"""``/v1/products``: products and what they say about their devices."""

from __future__ import annotations

import contextlib
from functools import partial

from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from libs.topics.messages.registry import DeleteProduct
from libs.topics.names import REGISTRY_INBOX
from services.api import credentials, examples
from services.api.access import Caller, needs
from services.api.asking import Asker
from services.api.conditions import expected_version, next_cursor, position, unless_same, versioned
from services.api.describe import described
from services.api.documents import NewProduct, Page, Product, ProductPatch, ProductWithSecret
from services.api.hub import Hub
from services.api.params import Cursor, IfMatch, IfNoneMatch, Limit, Prefix, ProductId
from services.api.problems import Problem
from services.api.products import SHOWN_S, change, defaults_of, find, merged, put, show, with_secret


@post(
    "",
    summary="Create a product",
    operation_id="create_product",
    guards=[needs("admin")],
    opt=described(
        problems=("product_exists", "product_closing", "reserved_name"),
        request=examples.NEW_PRODUCT,
        answer=examples.PRODUCT_WITH_SECRET,
        versioned=True,
    ),
)
async def create_product(data: JSONBody[NewProduct], asker: NamedDependency[Asker]) -> Response[ProductWithSecret]:
    """Create a product. With `dynamic_registration` it gets a secret, which is shown here and never again.

    A device that is registered after the answer finds its product, wherever it is decided upon.
    """
    if not asker.caller.knows(data.product_id):
        raise Problem("forbidden", f"the key {asker.caller.name} is limited to products, {data.product_id} is not one")
    credential, secret = credentials.for_product(asker, data.product_id) if data.dynamic_registration else (None, None)
    document = await put(asker, data.product_id, defaults_of(data), credential, 0)
    return versioned(with_secret(document, credential, secret), document.version, 201)


@get(
    "",
    summary="List products",
    operation_id="list_products",
    guards=[needs("read")],
    opt=described(problems=("invalid_cursor",), answer=Page([examples.PRODUCT], "cGxhbnQtNw")),
)
async def list_products(
    hub: NamedDependency[Hub],
    caller: NamedDependency[Caller],
    limit: Limit = 100,
    cursor: Cursor = None,
    prefix: Prefix = "",
) -> Page[Product]:
    """List the products that the key may know of, by id."""
    begin = position(cursor)
    known = (key.decode() for key in hub.products.documents)
    ids = sorted(one for one in known if one > begin and one.startswith(prefix) and caller.knows(one))
    items = [show(hub.products.documents[one.encode()]) for one in ids[:limit]]
    return Page(items, next_cursor(ids[limit - 1]) if len(ids) > limit else None)


@get(
    "/{product_id:str}",
    summary="Read a product",
    operation_id="get_product",
    guards=[needs("read")],
    opt=described(problems=("unknown_product",), answer=examples.PRODUCT, versioned=True, also=(304,)),
)
async def get_product(
    hub: NamedDependency[Hub], product_id: ProductId, if_none_match: IfNoneMatch = None
) -> Response[Product]:
    """Read a product."""
    document = find(hub, product_id)
    return unless_same(show(document), document.version, if_none_match)


@patch(
    "/{product_id:str}",
    summary="Change a product",
    operation_id="change_product",
    guards=[needs("admin")],
    opt=described(
        problems=("unknown_product", "product_closing", "version_conflict", "invalid_header"),
        request=examples.PRODUCT_PATCH,
        answer=examples.PRODUCT,
        versioned=True,
    ),
)
async def change_product(
    data: JSONBody[ProductPatch],
    asker: NamedDependency[Asker],
    product_id: ProductId,
    if_match: IfMatch = None,
) -> Response[Product]:
    """Change what is given (a merge patch); null is the default. Holds for every device of the product at once."""
    document = await change(asker, product_id, partial(merged, patch=data), None, expected_version(if_match))
    return versioned(show(document), document.version)


@delete(
    "/{product_id:str}",
    summary="Delete a product",
    operation_id="delete_product",
    guards=[needs("admin")],
    opt=described(problems=("unknown_product", "product_has_devices", "product_closing", "version_conflict")),
)
async def delete_product(asker: NamedDependency[Asker], product_id: ProductId, if_match: IfMatch = None) -> None:
    """Delete a product that has no devices."""
    request = DeleteProduct(product_id, expected_version(if_match), **asker.stamp())
    await asker.ask(REGISTRY_INBOX, product_id.encode(), request)
    products = asker.hub.products
    with contextlib.suppress(TimeoutError):
        await products.until(lambda: product_id.encode() not in products.documents, SHOWN_S)


@post(
    "/{product_id:str}/:rotate-secret",
    summary="Replace a product's secret",
    operation_id="rotate_product_secret",
    guards=[needs("admin")],
    status_code=200,
    opt=described(
        problems=("unknown_product", "product_closing", "version_conflict"),
        answer=examples.PRODUCT_WITH_SECRET,
        versioned=True,
    ),
)
async def rotate_product_secret(
    asker: NamedDependency[Asker], product_id: ProductId, if_match: IfMatch = None
) -> Response[ProductWithSecret]:
    """Give the product a new secret, shown here and never again. Devices that hold the old one cannot register."""
    credential, secret = credentials.for_product(asker, product_id)
    document = await change(asker, product_id, lambda defaults: defaults, credential, expected_version(if_match))
    return versioned(with_secret(document, credential, secret), document.version)


router = Router(
    "/v1/products",
    route_handlers=[
        create_product,
        list_products,
        get_product,
        change_product,
        delete_product,
        rotate_product_secret,
    ],
    tags=["products"],
)
