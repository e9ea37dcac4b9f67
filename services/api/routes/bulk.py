"""``/v1/products/{product_id}/devices:bulk``: many devices at once."""

from __future__ import annotations

from litestar import Router, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from services.api import examples
from services.api.access import needs
from services.api.asking import Asker
from services.api.bulk import Run
from services.api.describe import described
from services.api.documents import Bulk, BulkAnswer
from services.api.gate import OWN_DEADLINE
from services.api.limits import BULK_BODY
from services.api.params import ProductId


@post(
    "",
    summary="Register many devices",
    operation_id="register_devices",
    guards=[needs("admin")],
    status_code=200,
    request_max_body_size=BULK_BODY,
    opt={OWN_DEADLINE: True, **described(request=examples.BULK, answer=examples.BULK_ANSWER)},
)
async def register_devices(data: JSONBody[Bulk], asker: NamedDependency[Asker], product_id: ProductId) -> BulkAnswer:
    """Register up to 10,000 devices, each for itself; the answer tells of each, in the order of the request.

    With an `Idempotency-Key` the request may be sent again for as long as it takes: what it has created before is
    `created` again, with the same secret.
    """
    return await Run(asker, product_id, data.devices)()


router = Router("/v1/products/{product_id:str}/devices/:bulk", route_handlers=[register_devices], tags=["devices"])
