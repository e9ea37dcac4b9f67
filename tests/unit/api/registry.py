"""What the registry decides, as far as the API sees it. It passes the suite of the real one (`tests/support/api`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from libs.topics.messages import registry as asked
from libs.topics.messages.registry_events import ProductDocument
from libs.topics.messages.registry_views import ProductView
from services.api.devices import REGISTERED
from services.api.documents import Device, DeviceTags
from tests.unit.api.world import NOW, answered, refused

if TYPE_CHECKING:
    from libs.topics.messages.base import DeviceRequest
    from libs.topics.messages.hub import RequestAnswered
    from tests.unit.api.world import World


class FakeRegistry:
    """Decides about the products and devices of a world that it shows to the API at once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._devices: dict[str, Device] = world.reads.documents.setdefault(REGISTERED, {})
        self._versions: dict[str, int] = {}
        self._remembered: dict[str, tuple[str, RequestAnswered]] = {}
        world.requests.answer = self.decide

    def decide(self, request: Any) -> RequestAnswered:
        known = request.idempotency
        if known is not None and known.key in self._remembered and not isinstance(request, asked.RegisterDevice):
            fingerprint, answer = self._remembered[known.key]
            if fingerprint != known.fingerprint:
                raise refused(422, "idempotency_key_reused")
            return answer
        answer = self._decide(request)
        if known is not None:
            self._remembered[known.key] = known.fingerprint, answer
        return answer

    def _decide(self, request: Any) -> RequestAnswered:
        match request:
            case asked.PutProduct():
                return self._put(request)
            case asked.DeleteProduct():
                return self._delete_product(request)
            case asked.RegisterDevice():
                return self._register(request)
            case _:
                return self._change(request)

    def _put(self, request: asked.PutProduct) -> RequestAnswered:
        key = request.product_id.encode()
        old = self._world.products.held.get(key)
        current = 0 if old is None else old.version
        if old is not None and request.expected_version == 0:
            raise refused(409, "product_exists")
        if request.expected_version not in (None, current):
            raise refused(409, "version_conflict")
        if old is None and request.expected_version != 0:
            raise refused(404, "unknown_product")
        document = ProductDocument(
            request.product_id,
            self._version(request.product_id),
            request.defaults,
            *_secret(request, old),
            NOW if old is None else old.created_at,
            NOW,
        )
        self._world.products.held[key] = document
        return answered(ProductView(**_shared(document)), 201 if old is None else 200, document.version)

    def _delete_product(self, request: asked.DeleteProduct) -> RequestAnswered:
        if request.product_id.encode() not in self._world.products.held:
            raise refused(404, "unknown_product")
        if any(device.product_id == request.product_id for device in self._devices.values()):
            raise refused(409, "product_has_devices")
        del self._world.products.held[request.product_id.encode()]
        return answered(None, 204)

    def _register(self, request: asked.RegisterDevice) -> RequestAnswered:
        if request.device_id in ("get", "update"):
            raise refused(400, "reserved_name")
        if request.product_id.encode() not in self._world.products.held:
            raise refused(404, "unknown_product")
        key = f"{request.product_id}/{request.device_id}"
        old = self._devices.get(key)
        if old is not None:
            if old.credential_id != request.credential.id:
                raise refused(409, "device_exists")
            return answered(old, 201, old.version)
        device = Device(
            product_id=request.product_id,
            device_id=request.device_id,
            version=self._version(key),
            enabled=True,
            tags=tuple(sorted(set(request.tags))),
            tags_version=41,
            attributes=request.attributes,
            origin=request.origin,
            credential_id=request.credential.id,
            old_secret_valid_until=None,
            created_at=NOW,
            updated_at=NOW,
        )
        return self._keep(device, 201)

    def _change(self, request: DeviceRequest) -> RequestAnswered:
        key = f"{request.product_id}/{request.device_id}"
        old = self._devices.get(key)
        if old is None:
            raise refused(404, "unknown_device")
        tagging = isinstance(request, asked.SetTags | asked.AddTags | asked.RemoveTags)
        expected: int | None = getattr(request, "expected_version", None)
        if expected not in (None, old.tags_version if tagging else old.version):
            raise refused(409, "version_conflict", current=_tags(old) if tagging else old)
        if isinstance(request, asked.DeleteDevice):
            del self._devices[key]
            self._list(old, listed=False)
            return answered(None, 204)
        changes = _changes(request, old)
        if all(getattr(old, name) == value for name, value in changes.items()):
            return answered(_tags(old) if tagging else old, 200, old.version)
        if "tags" in changes:
            changes["tags_version"] = old.tags_version + 1
        self._list(old, listed=False)
        answer = self._keep(msgspec.structs.replace(old, version=self._version(key), updated_at=NOW, **changes), 200)
        return answered(_tags(self._devices[key]), 200) if tagging else answer

    def _keep(self, device: Device, status: int) -> RequestAnswered:
        self._devices[f"{device.product_id}/{device.device_id}"] = device
        self._list(device, listed=True)
        return answered(device, status, device.version)

    def _list(self, device: Device, *, listed: bool) -> None:
        key = f"{device.product_id}/{device.device_id}"
        for term in (f"product:{device.product_id}", *(f"tag:{device.product_id}/{tag}" for tag in device.tags)):
            keys = self._world.reads.listed.setdefault(term, [])
            keys.append(key) if listed else keys.remove(key)

    def _version(self, key: str) -> int:
        self._versions[key] = self._versions.get(key, 40) + 1  # an inbox's offset: it does not begin with 1
        return self._versions[key]


def _changes(request: DeviceRequest, old: Device) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    match request:
        case asked.EnableDevice() | asked.DisableDevice():
            changes["enabled"] = isinstance(request, asked.EnableDevice)
        case asked.SetAttributes():
            changes["attributes"] = request.attributes
        case asked.RotateSecret():
            changes["credential_id"] = request.credential.id
            changes["old_secret_valid_until"] = NOW + request.grace if request.grace else None
        case asked.SetTags():
            changes["tags"] = tuple(sorted(set(request.tags)))
        case asked.AddTags():
            changes["tags"] = tuple(sorted({*old.tags, *request.tags}))
        case asked.RemoveTags():
            changes["tags"] = tuple(sorted({*old.tags} - {*request.tags}))
    return changes


def _secret(request: asked.PutProduct, old: ProductDocument | None) -> tuple[str | None, str | None]:
    if request.credential is not None:
        return request.credential.id, request.credential.hash
    return (None, None) if old is None else (old.credential_id, old.secret_hash)


def _tags(device: Device) -> DeviceTags:
    return DeviceTags(device.tags, device.tags_version)


def _shared(document: ProductDocument) -> dict[str, Any]:
    fields = {field.name for field in msgspec.structs.fields(ProductView)}
    return {name: value for name, value in msgspec.structs.asdict(document).items() if name in fields}
