"""What the OpenAPI document shows: requests that a fleet of `mdevreg-server up --demo` answers."""

from __future__ import annotations

from typing import Any

BATCH: dict[str, Any] = {
    "pairs": [{"device": "hv-a-05/mtty/mtty-2", "to": "hv-a-10"}, {"device": "hv-a-05/mtty/mtty-2", "to": "hv-b-07"}],
    "stale_after_s": 60.0,
    "explain": False,
}
RULE: dict[str, Any] = {
    "id": "new",
    "effect": "deny",
    "author": "alice",
    "message": "saves what it can't load",
    "valid_from": "2026-11-24T14:00:00Z",
    "where": {"driver": ["mtty"], "srcversion": ["0CFB*"]},
}
END: dict[str, Any] = {"author": "alice", "at": "2026-11-25T08:00:00Z"}
DECISION: dict[str, Any] = {
    "question": {"device": "hv-a-05/mtty/mtty-2", "to": "hv-a-10"},
    "author": "alice",
    "note": "evacuation of rack 7",
}
OUTCOME: dict[str, Any] = {
    "result": "refused",
    "device": "hv-a-05/mtty/mtty-2",
    "to": "hv-a-10/mtty",
    "author": "alice",
    "detail": "qemu: vmstate load failed: -22",
}
WEBHOOK: dict[str, Any] = {
    "url": "https://receiver.example/mdevreg",
    "events": "driver.* device.stranded site=a",
    "secret": "whsec_bm90IGEgc2VjcmV0LCBidXQgYW4gZXhhbXBsZQ==",
    "author": "alice",
}
BY: dict[str, Any] = {"author": "alice"}
