"""Products: what devices of a kind have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from cli.arguments import Json, Product, Version, Yes, confirm, span
from cli.exits import usage
from cli.world import Session

app = typer.Typer(no_args_is_help=True, help="What devices of a kind have in common.")

COLUMNS = {
    "product_id": "product",
    "version": "version",
    "dynamic_registration": "joins by itself",
    "device_to_device": "device to device",
    "updated_at": "changed",
}

Template = Annotated[
    Path | None,
    typer.Option("--shadow-template", metavar="FILE", exists=True, dir_okay=False, help="JSON: first shadow document."),
]
Ttl = Annotated[
    int | None, typer.Option("--command-ttl", metavar="SPAN", parser=span, help="How long commands wait, such as 7d.")
]
Probing = Annotated[
    int | None,
    typer.Option(
        "--probe-interval",
        metavar="SPAN",
        parser=span,
        help="How often its devices are asked whether they answer, such as 10m; 0s: not at all.",
    ),
]
Rules = Annotated[
    list[str] | None,
    typer.Option(
        "--acl", metavar="ACTION:TOPIC", help="Extra rule: publish:TOPIC or subscribe:TOPIC. Repeat it; '' for none."
    ),
]
Joins = Annotated[
    bool | None,
    typer.Option("--dynamic-registration/--no-dynamic-registration", help="Devices may join with its secret."),
]
Peers = Annotated[
    bool | None, typer.Option("--device-to-device/--no-device-to-device", help="Devices may write to each other.")
]


@app.command()
def create(
    context: typer.Context,
    product: Product,
    template: Template = None,
    ttl: Ttl = None,
    probing: Probing = None,
    acl: Rules = None,
    joins: Joins = None,
    peers: Peers = None,
    json: Json = False,
) -> None:
    """Create a product.

    \b
    Example: fleetlog products create plant-7 --command-ttl 2d --device-to-device
    """
    session = Session(context, json=json)
    with session.api() as api:
        body = {"product_id": product, **_defaults(template, ttl, probing, acl, joins, peers)}
        _tell(session, api.send("POST", "/products", body))


@app.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """List the products that this API key may know of."""
    session = Session(context, json=json)
    with session.api() as api:
        session.out.items(api.pages("/products"), COLUMNS, "no product")


@app.command()
def show(context: typer.Context, product: Product, json: Json = False) -> None:
    """Show one product."""
    session = Session(context, json=json)
    with session.api() as api:
        session.out.document(api.get(f"/products/{product}"))


@app.command("set")
def set_(
    context: typer.Context,
    product: Product,
    template: Template = None,
    ttl: Ttl = None,
    probing: Probing = None,
    acl: Rules = None,
    joins: Joins = None,
    peers: Peers = None,
    version: Version = None,
    json: Json = False,
) -> None:
    """Change what is named; the rest stays.

    \b
    Example: fleetlog products set plant-7 --no-device-to-device --acl publish:plans/{product}/{device}
    """
    changes = _defaults(template, ttl, probing, acl, joins, peers)
    if not changes:
        raise usage("nothing to change is named", "see --help for what a product has")
    session = Session(context, json=json)
    with session.api() as api:
        _tell(session, api.send("PATCH", f"/products/{product}", changes, version=version))


@app.command()
def delete(
    context: typer.Context, product: Product, version: Version = None, yes: Yes = False, json: Json = False
) -> None:
    """Delete a product that has no devices."""
    confirm(f"Delete product {product}?", yes=yes)
    session = Session(context, json=json)
    with session.api() as api:
        api.send("DELETE", f"/products/{product}", version=version)
    session.out.done(f"product {product} is deleted", {"product_id": product, "deleted": True})


@app.command("rotate-secret")
def rotate_secret(context: typer.Context, product: Product, yes: Yes = False, json: Json = False) -> None:
    """Give the product a new secret for dynamic registration, shown once; an old one is refused from now on."""
    confirm(f"Replace the secret of product {product}?", yes=yes)
    session = Session(context, json=json)
    with session.api() as api:
        _tell(session, api.send("POST", f"/products/{product}:rotate-secret"))


def _tell(session: Session, document: dict[str, Any]) -> None:
    session.out.document(document)
    if document.get("secret"):
        session.out.note(
            "The product's secret is shown this once: whoever lost it needs `fleetlog products rotate-secret`."
        )


def _defaults(
    template: Path | None,
    ttl: int | None,
    probing: int | None,
    acl: list[str] | None,
    joins: bool | None,
    peers: bool | None,
) -> dict[str, Any]:
    """Keep what was named."""
    named = {
        "shadow_template": None if template is None else _template(template),
        "command_ttl_s": ttl,
        "acl": None if acl is None else [_rule(text) for text in acl if text],
        "dynamic_registration": joins,
        "device_to_device": peers,
    }
    found = {name: value for name, value in named.items() if value is not None}
    return found if probing is None else {**found, "probe_interval_s": probing or None}


def _template(file: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise usage(f"{file} holds no JSON object: {error}") from error


def _rule(text: str) -> dict[str, str]:
    action, colon, topic = text.partition(":")
    if action not in {"publish", "subscribe"} or not colon or not topic:
        raise usage(f"{text!r} is no access rule", "write publish:TOPIC or subscribe:TOPIC")
    return {"action": action, "topic": topic}
