"""``.../devices/{device_id}/probe`` and ``.../probes``: whether a device answers, and did."""

from __future__ import annotations

from typing import Final

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from services.api import command_examples as examples
from services.api import probes
from services.api.access import needs
from services.api.asking import Asker
from services.api.command_documents import NewProbe, Probe, Probed
from services.api.conditions import next_cursor, position
from services.api.describe import described
from services.api.documents import Page
from services.api.gate import OWN_DEADLINE, ended_after
from services.api.hub import Hub
from services.api.moments import span
from services.api.params import Begin, Cursor, DeviceId, End, Limit, ProductId
from services.api.presence import place_of, written
from services.api.products import find
from services.api.queries import About

MONTH: Final = 30 * 24 * 3600 * 1000


@post(
    "/probe",
    summary="Does a device answer?",
    operation_id="probe_device",
    guards=[needs("command")],
    status_code=200,
    opt={
        OWN_DEADLINE: True,
        **described(
            problems=("unknown_product", "unknown_device", "too_many_probes", "probe_not_sent"),
            request=examples.NEW_PROBE,
            answer=examples.PROBED,
        ),
    },
)
async def probe_device(
    asker: NamedDependency[Asker],
    product_id: ProductId,
    device_id: DeviceId,
    data: JSONBody[NewProbe | None] = None,
) -> Probed:
    """Ask a device whether it is there, whatever its connection looks like: 5 s for each attempt.

    What it came to is also the fact `last_probe` of the device's presence. A question that did not come to the broker
    says nothing about the device: that is 503 `probe_not_sent`.
    """
    new = data or NewProbe()
    async with ended_after(asker.hub.settings.http.deadline_s + probes.longest(new)):
        return await probes.probe(asker, product_id, device_id, new)


@get(
    "/probes",
    summary="List a device's probes",
    operation_id="list_probes",
    guards=[needs("read")],
    opt=described(
        problems=("unknown_product", "invalid_cursor", "too_much"),
        answer=Page([examples.PROBE], "MTc2MDAwMDAwMDAwMC4yLjE3"),
    ),
)
async def list_probes(
    hub: NamedDependency[Hub],
    product_id: ProductId,
    device_id: DeviceId,
    begin: Begin = None,
    end: End = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Probe]:
    """List what probes of a device came to, the newest first: those of the last 30 days, unless told otherwise."""
    find(hub, product_id)
    about = About(product_id, device_id, *span(begin, end, hub.clock(), MONTH))
    items, last = await probes.page(hub, about, place_of(position(cursor)), limit)
    return Page(items, next_cursor(written(last)))


router = Router(
    "/v1/products/{product_id:str}/devices/{device_id:str}",
    route_handlers=[probe_device, list_probes],
    tags=["commands"],
)
