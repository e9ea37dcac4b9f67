"""What the shadow service decides, as far as the API sees it. It passes the suite of the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from libs.shadow import document, trees
from libs.topics.messages.shadow_changes import ChangeDesired, PatchTagged, TaggedPatchApplied
from libs.topics.messages.shadow_views import DeviceShadows, NamedShadows, ShadowVersions
from services.api.devices import REGISTERED, SUMMARY
from services.api.shadow import NAMED, OWN
from tests.unit.api.registry import FakeRegistry
from tests.unit.api.world import NOW, answered, refused

if TYPE_CHECKING:
    from libs.shadow.document import Document
    from libs.topics.messages.hub import RequestAnswered
    from libs.topics.messages.shadow_changes import Section
    from tests.unit.api.world import World


class Shown(dict[str, Any]):
    """A view of all registered devices."""

    def __init__(self, owner: Owner, view: tuple[str, str, str]) -> None:
        super().__init__()
        self._owner, self._view = owner, view

    def get(self, key: str, default: Any = None) -> Any:
        return self._owner.show(self._view, key) if self._owner.knows(key) else default

    def __contains__(self, key: object) -> bool:
        return self._owner.knows(str(key))

    def __getitem__(self, key: str) -> Any:
        return self._owner.show(self._view, key)


class Owner(Protocol):
    """What shows the rows of a service."""

    def knows(self, key: str) -> bool: ...
    def show(self, view: tuple[str, str, str], key: str) -> Any: ...


class FakeShadows:
    """Decides about the shadows of devices that a `FakeRegistry` has registered, which it makes, too."""

    def __init__(self, world: World) -> None:
        self._registry = FakeRegistry(world)
        self._world = world
        self._documents: dict[tuple[str, str | None], Document] = {}
        self._floors: dict[str, int] = {}
        self._patched = set[tuple[str, str]]()
        self._remembered: dict[str, tuple[str, RequestAnswered]] = {}
        world.requests.answer = self.decide
        for view in (OWN, NAMED, SUMMARY):
            world.reads.documents[view] = Shown(self, view)

    def knows(self, key: str) -> bool:
        return key in self._world.reads.documents[REGISTERED]

    def show(self, view: tuple[str, str, str], key: str) -> Any:
        product_id, device_id = key.split("/")
        own = self._now(key, None)
        named = {name: one for (whose, name), one in self._documents.items() if whose == key and name is not None}
        if view == OWN:
            return document.public(product_id, device_id, None, own)
        if view == NAMED:
            shown = {name: document.public(product_id, device_id, name, one) for name, one in named.items()}
            return NamedShadows(shown)
        return DeviceShadows(None, _versions(own), {name: _versions(one) for name, one in named.items()})

    def decide(self, request: Any) -> RequestAnswered:
        if isinstance(request, PatchTagged):
            return self._sweep(request)
        if not isinstance(request, ChangeDesired):
            return self._registry.decide(request)
        known = request.idempotency
        if known is not None and known.key in self._remembered:
            fingerprint, answer = self._remembered[known.key]
            if fingerprint != known.fingerprint:
                raise refused(422, "idempotency_key_reused")
            return answer
        answer = self._change(request)
        if known is not None:
            self._remembered[known.key] = known.fingerprint, answer
        return answer

    def _change(self, asked: ChangeDesired) -> RequestAnswered:
        key = f"{asked.product_id}/{asked.device_id}"
        if not self.knows(key):
            raise refused(404, "unknown_device")
        now = self._now(key, asked.shadow)
        shown = document.public(asked.product_id, asked.device_id, asked.shadow, now)
        if asked.expected_version not in (None, now.version):
            raise refused(409, "version_conflict", current=shown)
        exists = (key, asked.shadow) in self._documents
        if not exists and asked.shadow is not None and (asked.operation in ("clear", "delete") or not asked.desired):
            raise refused(404, "unknown_shadow")
        if trees.depth(asked.desired) > 8:
            raise refused(413, "document_too_deep")
        if asked.operation == "delete":
            self._floors[key] = now.version + exists
            self._documents.pop((key, asked.shadow), None)
            return answered(None, 204)
        if asked.operation == "merge" and not asked.desired:
            return answered(shown, 200, now.version)
        cleared: tuple[Section, ...] = () if asked.operation == "merge" else ("desired",)
        after, _ = document.change(now, NOW, desired=asked.desired, reported=None, cleared=cleared)
        self._documents[key, asked.shadow] = after
        return answered(document.public(asked.product_id, asked.device_id, asked.shadow, after), 200, after.version)

    def _sweep(self, patch: PatchTagged) -> RequestAnswered:
        """Partition 0 has all devices."""
        members = self._world.reads.listed.get(f"tag:{patch.product_id}/{patch.tag}", ()) if not patch.partition else ()
        for key in members:
            if (patch.patch_id, key) in self._patched:
                continue
            self._patched.add((patch.patch_id, key))
            now = self._now(key, patch.shadow)
            self._documents[key, patch.shadow] = document.change(now, NOW, desired=patch.desired, reported=None)[0]
        counts = (len(members), len(members), 0)
        what = (patch.patch_id, patch.partition, patch.product_id, patch.tag, patch.shadow)
        return answered(TaggedPatchApplied("i", *what, *counts, "x", NOW))

    def _now(self, key: str, name: str | None) -> Document:
        floor = self._floors.get(key, 0)
        return self._documents.get((key, name)) or replace(document.empty(NOW), version=floor)


def _versions(one: Document) -> ShadowVersions:
    return ShadowVersions(one.version, one.desired_version, one.reported_version, converged=not one.delta)
