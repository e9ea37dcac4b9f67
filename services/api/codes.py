"""Every ``code`` that a problem of this API may carry: stable words, for programs to act upon.

The documentation and the OpenAPI document are made from this table, and nothing is answered that is not in it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping


class Code(msgspec.Struct, frozen=True):
    status: int
    title: str
    """The same for every occurrence."""
    advice: str
    """What to do about it, where the occurrence says nothing better."""


CODES: Final[Mapping[str, Code]] = MappingProxyType(
    {
        # -- the request itself
        "malformed_body": Code(400, "The body cannot be read", "Send one JSON document in UTF-8."),
        "invalid_name": Code(
            400, "Not a name", "Product ids, device ids and tags are 1 to 64 characters of A-Z a-z 0-9 _ and -."
        ),
        "reserved_name": Code(400, "A reserved name", "Choose another id: this one has a meaning in MQTT topics."),
        "invalid_message_id": Code(
            400, "Not a message id", "Make a new one of at least 128 random bits: 22 to 64 of A-Z a-z 0-9 _ and -."
        ),
        "invalid_cursor": Code(400, "Not a cursor", "Pass on next_cursor as it was answered, or begin without one."),
        "invalid_position": Code(
            400, "Not a position of the stream", "Send the id of the last event as Last-Event-ID, or none."
        ),
        "invalid_header": Code(400, "A header cannot be read", "See the detail for what the header must look like."),
        "unauthorized": Code(
            401, "No valid API key", "Send `Authorization: Bearer fl_...` with a key that has not expired."
        ),
        "device_unauthorized": Code(
            401,
            "No valid credentials of the device",
            "Send `Authorization: Basic` with product/device and the device's secret, or Bearer with a token for http.",
        ),
        "join_unauthorized": Code(
            401,
            "No valid secret of the product",
            "Send `Authorization: Basic` with product/device and the product's secret.",
        ),
        "device_disabled": Code(403, "The device is disabled", "Whoever runs the product can enable it again."),
        "joining_off": Code(
            403,
            "Devices of this product do not register themselves",
            "Register the device through the API, or let the product allow dynamic registration.",
        ),
        "forbidden": Code(403, "The key may not do this", "Ask an operator for a key with the scope that is named."),
        "dynamic_registration_off": Code(
            403, "Devices of the product do not register themselves", "Register the device with an API key."
        ),
        "unknown_path": Code(404, "No such path", "The paths are listed in /openapi.json and at /docs."),
        "unknown_product": Code(
            404, "No such product", "Check the id; the API key may also be limited to other products."
        ),
        "unknown_device": Code(404, "No such device", "Check the ids, or register the device."),
        "unknown_shadow": Code(404, "No such shadow", "It begins with the first change; GET .../shadows lists them."),
        "unknown_status": Code(404, "No status", "The device has reported none yet."),
        "unknown_version": Code(404, "No such version", "GET .../shadow/history lists the versions."),
        "unknown_patch": Code(
            404, "No such patch by tag", "Check the id; of a patch that was just made nothing may be stored yet."
        ),
        "unknown_command": Code(404, "No such command", "Check the request id, and the device where one is named."),
        "unknown_fanout": Code(
            404, "No such fan-out", "Check the id; of one that was just begun nothing may be known yet."
        ),
        "method_not_allowed": Code(405, "Not a method of this path", "The header Allow lists the methods."),
        "body_too_large": Code(413, "The body is too large", "Send less at once."),
        "payload_too_large": Code(413, "The payload is too large", "It is 64 KiB at most: send a reference instead."),
        "queue_too_large": Code(
            413,
            "The device's open commands are too large",
            "Their payloads are 384 KiB at most together: wait until some are over, cancel them, or say less.",
        ),
        "unsupported_media_type": Code(415, "Not a media type of this call", "Send `Content-Type: application/json`."),
        "invalid_request": Code(422, "The request does not fit", "Correct the fields that `errors` names."),
        "idempotency_key_reused": Code(
            422, "This idempotency key was used for something else", "Use a new Idempotency-Key for each new request."
        ),
        "too_much": Code(422, "More than one answer takes", "Ask for a shorter time, or for longer steps."),
        "rate_limited": Code(429, "Too many requests", "Wait for as many seconds as Retry-After says."),
        "too_many_tags": Code(400, "Too many tags", "A device has 64 tags at most."),
        "attributes_too_large": Code(
            413, "The attributes are too large", "Keep what is large elsewhere, and its address here."
        ),
        "template_too_large": Code(413, "The shadow template is too large", "Make it small enough for a shadow."),
        "document_too_deep": Code(413, "The shadow is nested too deeply", "A section has 8 levels at most."),
        "document_too_large": Code(413, "The shadow is too large", "Its two sections are 32 KiB of JSON at most."),
        "shadows_too_large": Code(
            413, "The device's shadows are too large", "All of them, with their metadata, are 512 KiB at most."
        ),
        "too_many_shadows": Code(409, "Too many shadows", "A device has 10 named shadows at most: delete one."),
        "repeated_device": Code(400, "Twice in one request", "Name each device once."),
        "invalid_ttl": Code(400, "Not a time to wait", "Let it wait for as long as the detail says at most."),
        # -- the state of the hub
        "device_exists": Code(
            409, "The device exists", "Rotate its secret, where it is lost; or choose another device id."
        ),
        "tokens_not_supported": Code(
            409,
            "This broker cannot check tokens",
            "Let the device use its secret, or ask for a token for http. EMQX takes tokens: FLEETLOG_BROKER=emqx.",
        ),
        "product_exists": Code(409, "The product exists", "Change it with PATCH, or choose another id."),
        "product_has_devices": Code(409, "The product has devices", "Delete its devices first."),
        "product_closing": Code(
            409, "The product is being deleted", "Ask again in a moment: it is then gone, or open again."
        ),
        "product_busy": Code(429, "Too many changes of one product at once", "Wait for their answers, then ask again."),
        "version_conflict": Code(
            409, "Changed meanwhile", "Look at `current`, decide anew, and send the new version with it."
        ),
        "queue_full": Code(
            429, "The device has as many open commands as it may", "Wait until some are over, or cancel them."
        ),
        "too_many_probes": Code(429, "The device has as many probes under way as it may", "Wait for their verdicts."),
        "command_over": Code(409, "The command is over", "It stays as it is; see `current`."),
        # -- the ends of an rpc without a reply
        "device_offline": Code(
            409, "The device is offline", "Send a command, which waits for the device, or call again when it is online."
        ),
        "command_cancelled": Code(409, "The call was cancelled", "The device may have done it all the same."),
        "command_failed": Code(502, "The broker did not take the call", "See the detail."),
        "command_expired": Code(
            504, "The call's time was over", "The device may have done it all the same: a late reply is kept with it."
        ),
        "rpc_timed_out": Code(
            504,
            "The device did not reply in time",
            "It may have done it all the same: GET /v1/commands/{request_id} has a late reply.",
        ),
        # -- the hub itself
        "probe_not_sent": Code(
            503, "The device could not be asked", "Ask again later: nothing was found out about the device."
        ),
        "internal_error": Code(500, "A fault of the hub", "Tell an operator the request id; asking again may help."),
        "not_asked": Code(503, "The hub is busy", "Nothing was done. Ask again after as long as Retry-After says."),
        "no_answer": Code(
            503,
            "No answer in time",
            "It may have been carried out or may yet be. Ask again with the same Idempotency-Key.",
        ),
        "version_not_stored_yet": Code(
            503, "Not stored yet", "Ask again after as long as Retry-After says: the newest versions come in a moment."
        ),
        "too_many_streams": Code(503, "Too many live streams", "Close some, or ask again later."),
        "unavailable": Code(503, "Nobody answers for this now", "Ask again after as long as Retry-After says."),
        "deadline_exceeded": Code(
            503, "It took too long", "Ask again with the same Idempotency-Key after as long as Retry-After says."
        ),
    }
)


def type_of(code: str) -> str:
    """Return the problem type's URI: a name, nothing that could be fetched."""
    return f"urn:fleetlog:problem:{code}"
