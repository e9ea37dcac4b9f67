"""The OpenAPI 3.1 document, made from the handlers: what they say is what is documented.

The framework's own generator knows msgspec's types only roughly (it loses patterns, bounds of items and whether unknown
fields are refused); msgspec knows them exactly, and the rest is a walk over the routes.
"""

from __future__ import annotations

import inspect
from http import HTTPStatus
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args, get_origin

import msgspec
from litestar import Response
from litestar.params import HeaderParameter, ParameterKwarg, PathParameter, QueryParameter
from litestar.response import Stream
from litestar.routes import HTTPRoute
from msgspec import Meta

from .bodies import JSON
from .codes import CODES, type_of
from .describe import KEY, Described
from .gate import public_path
from .problems import MEDIA_TYPE, FieldError, ProblemDocument

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from litestar import Litestar
    from litestar.handlers import HTTPRouteHandler
    from litestar.typing import FieldDefinition

VERSION: Final = "1"
REFS: Final = "#/components/schemas/{name}"
SAFE: Final = ("GET", "HEAD")
PLACES: Final = {PathParameter: "path", QueryParameter: "query", HeaderParameter: "header"}
BOUNDS: Final = ("ge", "le", "pattern", "max_length")
EVERY: Final = (
    "unauthorized",
    "forbidden",
    "rate_limited",
    "internal_error",
    "unavailable",
    "deadline_exceeded",
)
"""Codes of every call that needs a key."""
ASKING: Final = ("not_asked", "no_answer", "invalid_header", "idempotency_key_reused")
"""Codes of calls that change something."""
BODY: Final = ("malformed_body", "body_too_large", "unsupported_media_type", "invalid_request")
"""Codes of calls that take a body."""
IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Chosen by the caller, 1 to 128 visible characters, such as a UUID: sent again with the same key, "
    "the request is answered as before and done once.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    "example": "7c1f3c36-6a5e-4a55-9d6f-0f7f5c2f9a11",
}
HEADERS: Final = {
    "ETag": {"description": "The version.", "schema": {"type": "string"}, "example": '"3"'},
    "Location": {
        "description": "Where what becomes of it is read.",
        "schema": {"type": "string"},
        "example": "/v1/commands/c-m2Tq3Jb6QGqk0dUq2mJ0Zg?device=plant-7/press-1",
    },
}
"""Of answers, where the handler says so."""
SCHEMES: Final = {
    "api_key": {"type": "http", "scheme": "bearer", "description": "An API key: `fl_<id>_<secret>`."},
    "device_secret": {
        "type": "http",
        "scheme": "basic",
        "description": "A device: `product/device` as the user name, its secret or a token for `http` as the password.",
    },
    "device_token": {"type": "http", "scheme": "bearer", "description": "A device: a token for `http`."},
    "product_secret": {
        "type": "http",
        "scheme": "basic",
        "description": "A device that has no secret yet: `product/device`, and the product's secret as the password.",
    },
    "broker_hook": {"type": "http", "scheme": "bearer", "description": "EMQX: FLEETLOG_BROKER_HOOK_SECRET."},
}
INTRODUCTION: Final = """\
JSON in and out. Moments are Unix milliseconds and end in `_at`, durations are seconds and end in `_s`.

**Errors** are problem documents (RFC 9457): `code` is stable and for programs, `detail` says what happened this time,
`advice` what to do about it.

**Versions**: a document with a version answers `ETag` and takes `If-Match`.

**Repetition**: every call that changes something takes `Idempotency-Key`; after a 503, or no answer at all, send it
again with the same key.

**Lists** go on with `cursor=` and the `next_cursor` of the page before."""
TAGS: Final = {
    "products": "Products and what they say about their devices.",
    "devices": "Devices: who may speak at all.",
    "tags": "Groups that devices belong to.",
    "shadow": "What devices should be, and what they say that they are.",
    "commands": "What devices are told to do, and what became of it.",
    "presence": "Who is connected, and who was.",
    "telemetry": "What devices have sent.",
    "stream": "What happens, as it happens.",
    "devices themselves": "What devices ask for, with credentials of their own.",
    "broker": "What an MQTT broker asks the hub.",
    "health": "For balancers.",
}


def document(app: Litestar) -> dict[str, Any]:
    """Make the document of all routes of the application."""
    operations = list(_operations(app))
    schemas = _Schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for path, method, handler in operations:
        paths.setdefault(public_path(path), {})[method.lower()] = _operation(method, handler, schemas)
    used = {tag for _, _, handler in operations for tag in handler.resolve_tags() or ()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fleetlog",
            "version": VERSION,
            "summary": "The HTTP API of the hub.",
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": said} for name, said in TAGS.items() if name in used],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas.components,
            "securitySchemes": SCHEMES,
        },
    }


class _Schemas:
    """Schemas of all types that the handlers name, as msgspec knows them."""

    def __init__(self, operations: Iterable[tuple[str, str, HTTPRouteHandler]]) -> None:
        kinds: list[Any] = [ProblemDocument, FieldError]
        for _, _, handler in operations:
            kinds += [kind for kind in (_taken(handler), _answered(handler)) if kind is not None]
        unique = list({repr(kind): kind for kind in kinds}.values())
        found, self.components = msgspec.json.schema_components(unique, ref_template=REFS)
        self._by_kind = dict(zip(map(repr, unique), found, strict=True))

    def of(self, kind: Any) -> dict[str, Any]:
        return self._by_kind[repr(kind)]


def _operations(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    """Yield (path, method, handler) of everything that is documented: what has an operation id."""
    for route in sorted(app.routes, key=lambda route: route.path):
        if isinstance(route, HTTPRoute):
            for handler in sorted(route.route_handlers, key=lambda handler: str(handler.operation_id)):
                for method in sorted(handler.http_methods):
                    if handler.operation_id is not None:
                        yield route.path_format, method, handler


def _operation(method: str, handler: HTTPRouteHandler, schemas: _Schemas) -> dict[str, Any]:
    said: Described = handler.opt.get(KEY, Described())
    scope = next((guard.scope for guard in handler.resolve_guards() if hasattr(guard, "scope")), None)
    body = _taken(handler)
    parameters = [_parameter(name, field) for name, field in _parameters(handler)]
    if method not in SAFE and said.idempotent:
        parameters.append(IDEMPOTENCY_KEY)
    described: dict[str, Any] = {
        "operationId": handler.operation_id,
        "summary": handler.summary,
        "description": _description(handler, scope),
        "tags": list(handler.resolve_tags() or ()),
        "parameters": parameters,
        "responses": {
            **_success(handler, said, schemas),
            **_problems(_codes(method, said, parameters, guarded=scope is not None, takes=body is not None)),
        },
    }
    schemes = said.security if scope is None else ("api_key", *said.security)
    if schemes:
        described["security"] = [{name: []} for name in schemes]
    if said.raw:
        described["requestBody"] = {"required": False, "content": {"*/*": {"schema": {}}}}
    if body is not None:
        content: dict[str, Any] = {"schema": schemas.of(body)}
        if said.request is not None:
            content["example"] = _plain(said.request)
        field = handler.parsed_data_field
        described["requestBody"] = {
            "required": field is not None and not field.has_default,
            "content": dict.fromkeys(JSON if method == "PATCH" else JSON[:1], content),
        }
    return described


def _description(handler: HTTPRouteHandler, scope: str | None) -> str:
    said = inspect.cleandoc(handler.fn.__doc__ or "")
    return said if scope is None else f"{said}\n\nNeeds the scope `{scope}`."


def _parameters(handler: HTTPRouteHandler) -> Iterator[tuple[str, FieldDefinition]]:
    for name, field in handler.parsed_fn_signature.parameters.items():
        if isinstance(field.kwarg_definition, tuple(PLACES)):
            yield name, field


def _parameter(name: str, field: FieldDefinition) -> dict[str, Any]:
    """Describe a parameter; one that may be left out is not one that may be null."""
    said = field.kwarg_definition
    assert isinstance(said, ParameterKwarg)
    place = next(place for kind, place in PLACES.items() if isinstance(said, kind))
    kinds = [kind for kind in get_args(field.annotation) if kind is not NoneType] or [field.annotation]
    bounds = {name: getattr(said, name) for name in BOUNDS if getattr(said, name) is not None}
    schema = {**msgspec.json.schema(Annotated[kinds[0], Meta(**bounds)]), **(said.schema_extra or {})}
    if field.has_default and field.default not in (None, ""):
        schema["default"] = field.default
    known = {
        "name": getattr(said, place, None) or getattr(said, "name", None) or name,
        "in": place,
        "required": place == "path",
        "description": said.description,
        "schema": schema,
    }
    return {**known, "example": said.examples[0].value} if said.examples else known


def _success(handler: HTTPRouteHandler, said: Described, schemas: _Schemas) -> dict[str, Any]:
    kind = _answered(handler)
    answer: dict[str, Any] = {"description": HTTPStatus(handler.status_code).phrase}
    if kind is not None:
        content: dict[str, Any] = {"schema": schemas.of(kind)}
        if said.answer is not None:
            content["example"] = _plain(said.answer)
        answer["content"] = {handler.media_type if kind is str else "application/json": content}
    headers = {name: HEADERS[name] for name, has in (("ETag", said.versioned), ("Location", said.located)) if has}
    if headers:
        answer["headers"] = headers
    also = {str(status): {"description": HTTPStatus(status).phrase} for status in said.also}
    if said.accepted:
        also["202"] = {**answer, "description": HTTPStatus(202).phrase}
    return {str(handler.status_code): answer, **also}


def _codes(method: str, said: Described, parameters: list[dict[str, Any]], *, guarded: bool, takes: bool) -> list[str]:
    """List the codes that an operation may answer with."""
    codes = [*said.problems, *(EVERY if guarded else ("internal_error",))]
    if method not in SAFE and said.idempotent:
        codes += ASKING
    if takes:
        codes += BODY
    if any(parameter["in"] == "path" for parameter in parameters):
        codes.append("invalid_name")
    if any(parameter["in"] == "query" for parameter in parameters):
        codes.append("invalid_request")
    return sorted(set(codes), key=lambda code: (CODES[code].status, code))


def _problems(codes: list[str]) -> dict[str, Any]:
    """One response for each status, with an example for each of its codes."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(CODES[code].status, []).append(code)
    return {
        str(status): {
            "description": HTTPStatus(status).phrase + ": " + ", ".join(f"`{code}`" for code in sharing),
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": REFS.format(name=ProblemDocument.__name__)},
                    "examples": {code: {"summary": CODES[code].title, "value": problem(code)} for code in sharing},
                }
            },
        }
        for status, sharing in by_status.items()
    }


def _plain(example: Any) -> Any:
    """Write an example as JSON has it: some hold parts that are JSON already."""
    return msgspec.json.decode(msgspec.json.encode(example))


def problem(code: str) -> dict[str, Any]:
    """An example of a problem with this code."""
    known = CODES[code]
    example = ProblemDocument(type_of(code), known.title, known.status, code, known.title.lower(), known.advice)
    return dict(msgspec.to_builtins(example))


def _taken(handler: HTTPRouteHandler) -> Any:
    """Return the type of the body that a handler takes; None: it takes none."""
    field = handler.parsed_data_field
    if field is None:
        return None
    kinds = [kind for kind in get_args(field.annotation) if kind is not NoneType]
    return kinds[0] if field.is_optional and kinds else field.annotation


def _answered(handler: HTTPRouteHandler) -> Any:
    """Return the type of a handler's answer; None: there is no body."""
    kind = handler.parsed_return_field.annotation
    if get_origin(kind) is Response:
        kind = get_args(kind)[0]
    if kind is Stream:
        return str
    return None if kind in (None, NoneType) else kind
