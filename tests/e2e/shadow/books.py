"""What the public log says of a product's shadows, held against what applications were told and what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from libs.shadow.document import Document, fold, public
from libs.topics import names
from libs.topics.codec import Decoder
from libs.topics.messages.shadow_changes import (
    ShadowChanged,
    ShadowChangeRefused,
    ShadowDocument,
    StatusChanged,
    TaggedPatchApplied,
)
from tests.support.records import read_all

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.e2e.shadow.applications import Accepted

decode_event: Decoder[ShadowChanged | ShadowChangeRefused | StatusChanged | TaggedPatchApplied] = Decoder(
    ShadowChanged | ShadowChangeRefused | StatusChanged | TaggedPatchApplied
)
decode_document: Decoder[ShadowDocument] = Decoder(ShadowDocument)


class Books:
    """By device: the log as it stands, each change once, and the newest documents."""

    def __init__(self, bootstrap: str, product: str) -> None:
        self.product = product
        self.log: dict[str, list[ShadowChanged]] = {}
        self.refusals: list[ShadowChangeRefused] = []
        self.documents: dict[str, ShadowDocument] = {}
        prefix = f"{product}/".encode()
        written: dict[str, bytes] = {}
        for record in read_all(bootstrap, names.SHADOW_EVENTS):
            if record.key is None or record.value is None or not record.key.startswith(prefix):
                continue
            event = decode_event(record.value)
            if (known := written.setdefault(event.id, record.value)) is not record.value:
                assert known == record.value, f"{event.id} was written again, and differs"
            elif isinstance(event, ShadowChanged):
                self.log.setdefault(event.device_id, []).append(event)
            elif isinstance(event, ShadowChangeRefused):
                self.refusals.append(event)
        for record in read_all(bootstrap, names.SHADOW_DOCUMENTS):
            if record.key is not None and record.value is not None and record.key.startswith(prefix):
                document = decode_document(record.value)
                self.documents[document.device_id] = document

    def folded(self, device: str) -> ShadowDocument | None:
        """The document that the log makes. Fails where versions are missing, doubled or out of order."""
        document: Document | None = None
        for version, event in enumerate(self.log.get(device, ()), 1):
            assert (event.version_before, event.version) == (version - 1, version), event
            document = fold(document, event)
        return None if document is None else public(self.product, device, None, document)

    def unlike(self, answers: Iterable[Accepted]) -> list[str]:
        """Where the log differs from what applications were told, in sentences."""
        made: dict[tuple[str, bytes], list[int]] = {}
        for device, events in self.log.items():
            for event in events:
                if event.via == "api":
                    made.setdefault((device, msgspec.json.encode(event.desired)), []).append(event.version)
        found = []
        for answer in answers:
            versions = made.pop((answer.device, msgspec.json.encode(answer.patch)), [])
            if len(versions) != 1 or answer.version not in {None, *versions}:
                found.append(f"{answer}: the log has versions {versions}")
        return found + [
            f"{device}: {patch!r} was made as {versions}, and told to nobody"
            for (device, patch), versions in made.items()
        ]
