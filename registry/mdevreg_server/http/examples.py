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
CAMPAIGN: dict[str, Any] = {
    "name": "to-580",
    "wanted": {"name": "mtty", "version": "2"},
    "where": {"site": ["a"], "driver": ["mtty"]},
    "author": "alice",
    "deadline": "2099-01-01T00:00:00Z",
    "message": "CVE-2026-1",
}
BASELINE: dict[str, Any] = {
    "name": "gold",
    "classes": [{"type": "mtty-*", "driver": {"name": "mtty", "version": "2"}, "loads": "mtty [1, 2]"}],
    "author": "alice",
}
END_INTENT: dict[str, Any] = {"author": "alice", "reason": "superseded"}
WEBHOOK: dict[str, Any] = {
    "url": "https://receiver.example/mdevreg",
    "events": "driver.* device.stranded site=a",
    "secret": "whsec_bm90IGEgc2VjcmV0LCBidXQgYW4gZXhhbXBsZQ==",
    "author": "alice",
}
BY: dict[str, Any] = {"author": "alice"}
