"""API keys: which applications are let in. Operators issue them over Kafka: there is no key to ask the API with yet."""

from __future__ import annotations

import asyncio
import getpass
import secrets
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from cli.arguments import Json, Yes, confirm, product, span
from cli.asking import ask, documents
from cli.exits import usage
from cli.world import Session
from libs.runtime import keys
from libs.topics import names
from libs.topics.messages.registry import IssueApiKey, RevokeApiKey, Scope
from libs.topics.messages.registry_events import ApiKeyDocument

if TYPE_CHECKING:
    from collections.abc import Iterable

app = typer.Typer(no_args_is_help=True, help="Which applications are let in.")

COLUMNS = {"key_id": "key", "name": "name", "scopes": "scopes", "products": "products", "expires_at": "expires"}
ALL = "all"


@app.command()
def issue(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="For people, and for `by` in events.")],
    scopes: Annotated[
        list[str], typer.Option("--scope", metavar="SCOPE", help="read, command or admin. Repeat it for several.")
    ],
    products: Annotated[
        list[str] | None, typer.Option("--product", metavar="PRODUCT", help="Only these products; all without it.")
    ] = None,
    expires: Annotated[
        int | None, typer.Option("--expires-in", metavar="SPAN", parser=span, help="Such as 90d; never without it.")
    ] = None,
    json: Json = False,
) -> None:
    """Issue an API key and show it, this once.

    \b
    Example: fleetlog keys issue dashboards --scope read --product plant-7 --expires-in 90d
    """
    session = Session(context, json=json)
    now = int(session.world.now() * 1000)
    minted = keys.mint(secrets.token_bytes)
    request = IssueApiKey(
        minted.key_id,
        name,
        _scopes(scopes),
        tuple(map(product, products)) if products else None,
        minted.hash,
        None if expires is None else now + expires * 1000,
        requested_by=operator(),
        requested_at=now,
    )
    asyncio.run(ask(session.kafka(), names.REGISTRY_INBOX, _row(minted.key_id), request))
    session.out.document(
        {
            "key": minted.text,
            "key_id": minted.key_id,
            "name": name,
            "scopes": list(request.scopes),
            "products": list(request.products) if request.products else ALL,
            "expires_at": request.expires_at,
        }
    )
    session.out.note("The key is shown this once: only its hash is kept.")


@app.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """List the API keys, without their secrets."""
    session = Session(context, json=json)
    found = asyncio.run(documents(session.kafka(), names.REGISTRY_API_KEYS, ApiKeyDocument))
    shown = [_shown(key) for key in _in_order(found.values())]
    if not json:
        shown = [{**key, "products": key["products"] or ALL} for key in shown]
    session.out.items(shown, COLUMNS, "no key")


@app.command()
def revoke(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The id of the key, 12 characters; or the whole key.")],
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Let the holder of a key in no more."""
    key_id = _id(key)
    confirm(f"Revoke key {key_id}?", yes=yes)
    session = Session(context, json=json)
    request = RevokeApiKey(key_id, requested_by=operator(), requested_at=int(session.world.now() * 1000))
    asyncio.run(ask(session.kafka(), names.REGISTRY_INBOX, _row(key_id), request))
    session.out.done(f"key {key_id} is revoked", {"key_id": key_id, "revoked": True})


def operator() -> str:
    """Who asks, as events name it."""
    return f"operator {getpass.getuser()}"


def _row(key_id: str) -> bytes:
    return f"key:{key_id}".encode()


def _id(text: str) -> str:
    try:
        return keys.parse(text)[0]
    except keys.InvalidKey:
        if not keys.is_id(text):
            raise usage("that is no id of a key", "`fleetlog keys list` names them") from None
        return text


def _scopes(texts: list[str]) -> tuple[Scope, ...]:
    known: tuple[Scope, ...] = get_args(Scope)
    for text in texts:
        if text not in known:
            raise usage(f"{text!r} is no scope: {', '.join(known)}")
    return tuple(scope for scope in known if scope in texts)


def _in_order(found: Iterable[ApiKeyDocument]) -> list[ApiKeyDocument]:
    return sorted(found, key=lambda key: (key.name, key.created_at))


def _shown(key: ApiKeyDocument) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "scopes": list(key.scopes),
        "products": None if key.products is None else list(key.products),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
    }
