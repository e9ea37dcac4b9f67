"""The wiring of the API: routes, who may call them, and what every request passes.

A group of calls is one file of `routes` and one entry in `ROUTES`. Its handlers take what they need by name:
``hub: NamedDependency[Hub]``, ``caller: NamedDependency[Caller]``, ``asker: NamedDependency[Asker]`` for requests to
lanes; ``guards=[needs("read")]`` on a router or a handler says who may call. They raise `problems.Problem`, or let
`Refused`, `NoAnswer`, `NotAsked`, `Unavailable` and `InvalidName` pass: all of them become problem documents. A custom
verb ``.../{device_id}:disable`` is written as a segment of its own, ``/{device_id:str}/:disable``. A handler's options
are `gate.STREAM` and `bodies.CONSUMES`; its keyword ``request_max_body_size`` allows larger bodies than `limits.BODY`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from . import bodies
from .access import Gatekeeper, caller_of
from .asking import asker_of
from .direct import Direct
from .gate import Api, within
from .limits import BODY, Buckets
from .openapi import document
from .problems import HANDLERS
from .routes import (
    broker,
    bulk,
    commands,
    devices,
    docs,
    fanouts,
    health,
    joining,
    ledger,
    messages,
    presence,
    probes,
    products,
    shadow,
    shadow_past,
    shadows,
    stream,
    tagged,
    tags,
    telemetry,
    uplink,
)

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler

    from .hub import Hub

ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    docs.router,
    health.router,
    products.router,
    devices.router,
    bulk.router,
    tags.router,
    joining.router,
    uplink.router,
    broker.router,
    shadow.router,
    shadows.router,
    shadow_past.router,
    tagged.router,
    commands.router,
    ledger.router,
    fanouts.router,
    probes.router,
    messages.router,
    presence.router,
    telemetry.router,
    stream.router,
)
"""One file of `routes` each; those of ``/v1`` say so in their own paths."""


def build(hub: Hub) -> Api:
    """Compose the application on a hub, be it the real one or a test's."""
    http = hub.settings.http
    buckets = Buckets(http.rate, http.burst, time.monotonic)

    def give_hub() -> Any:
        return hub

    gatekeeper = Gatekeeper(hub, buckets)
    return Api(
        Direct(hub, gatekeeper, http.deadline_s),
        route_handlers=list(ROUTES),
        dependencies={
            "hub": Provide(give_hub, sync_to_thread=False),
            "caller": Provide(caller_of, sync_to_thread=False),
            "asker": Provide(asker_of),
        },
        state=State(
            {"gatekeeper": gatekeeper, "hook_secret": hub.settings.broker_hook.secret, "strangers": hub.strangers}
        ),
        middleware=[within(http.deadline_s)],
        before_request=bodies.check,
        exception_handlers=HANDLERS,
        request_max_body_size=BODY,
        openapi_config=None,
        logging_config=None,
    )


def reference() -> dict[str, str]:
    """The OpenAPI document as it is kept with the code, by its path: `libs.runtime.reference` writes it."""
    # Of dependencies only the names matter: nothing is called here.
    dependencies = {name: Provide(lambda: None, sync_to_thread=False) for name in ("hub", "caller", "asker")}
    app = Litestar(list(ROUTES), dependencies=dependencies, openapi_config=None, logging_config=None)
    written = msgspec.json.format(msgspec.json.encode(document(app)), indent=1).decode()
    return {"docs/openapi.json": written + "\n"}
