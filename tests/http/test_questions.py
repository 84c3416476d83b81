"""Questions and decisions over HTTP: what is answered, page by page, and what a batch says of each pair."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from mdevreg.facts import NOW
from mdevreg.query import questions
from mdevreg_server.http.config import HttpConfig
from support.door_fleet import ASKED, FLEET, memory_door
from support.faces import LOOPBACK, Face
from support.hosts import uuid_of
from support.http_asked import asked, pages, posted

#: Nobody is stale for so long.
EVER = "stale_after_s=1e9"


def test_hosts_come_page_by_page_each_once_and_in_order(url: str) -> None:
    """By the Link header and by `next` alike; the last page has neither."""
    told = list(pages(url, "/v1/hosts?limit=3"))
    names = [host["evidence"]["hostname"] for page in told for host in page.json["hosts"]]
    assert names == [host.evidence.hostname for host in memory_door().hosts(NOW).hosts]
    assert [len(page.json["hosts"]) for page in told] == [3, 3, 1]
    assert [page.json["next"] is None for page in told] == [False, False, True]
    assert f"cursor={told[0].json['next']}" in (told[0].following or "")


def test_hosts_of_a_site(url: str) -> None:
    """A site that nobody is at has no hosts; that is an answer."""
    assert len(asked(url, "/v1/hosts?site=lab").json["hosts"]) == len(FLEET)
    assert asked(url, "/v1/hosts?site=elsewhere").json["hosts"] == []
    assert asked(url, "/v1/hosts?site=").json["hosts"] == []


@pytest.mark.parametrize(
    "path", ["/v1/hosts?limit=1", f"/v1/targets?device={uuid_of(1)}&limit=1&{EVER}", "/v1/devices?host=alpha&limit=1"]
)
def test_a_cursor_is_of_one_question(url: str, path: str) -> None:
    """It is refused by another question, and where it is none; a smaller page is the same question."""
    first = asked(url, path)
    cursor = first.json["next"] or asked(url, "/v1/hosts?limit=1").json["next"]
    other = asked(url, f"{path}&known_at=9&cursor={cursor}")
    assert (other.status, other.code) == (400, "BAD_CURSOR")
    assert asked(url, f"{path}&cursor=nonsense").code == "BAD_CURSOR"
    if first.json["next"]:
        assert asked(url, f"{path.replace('limit=1', 'limit=2')}&cursor={cursor}").status == 200


def test_targets_come_page_by_page_best_first(url: str) -> None:
    """The same hosts in the same order as the library's own answer."""
    told = list(pages(url, f"/v1/targets?device={uuid_of(1)}&limit=2&{EVER}"))
    rows = [row for page in told for row in page.json["rows"]]
    expected = questions.targets(memory_door(), uuid_of(1), now=ASKED)
    assert {row["host"] for row in rows} == {answer.target.host for answer in expected.answers}
    ranks = [row["ruling"]["outcome"] for row in rows]
    assert ranks == sorted(ranks, key=["compatible", "unknown", "incompatible"].index)
    assert {page.json["position"] for page in told} == {expected.position}


def test_targets_are_chosen_by_outcome(url: str) -> None:
    """The counts are of all."""
    page = asked(url, f"/v1/targets?device={uuid_of(1)}&outcome=unknown&{EVER}").json
    assert {row["ruling"]["outcome"] for row in page["rows"]} == {"unknown"}
    assert page["counts"]["compatible"] > 0


@pytest.mark.parametrize("device", ["alpha/mtty/mtty-1", uuid_of(1), f"alpha/{uuid_of(1)}"])
def test_a_device_is_found_by_every_name_it_has(url: str, device: str) -> None:
    """Slashes in a path are taken as they are, or encoded."""
    for path in (device, quote(device, safe="")):
        found = asked(url, f"/v1/devices/{path}")
        assert found.status == 200, found.body
        assert found.json["device"]["evidence"]["hostname"] == "alpha"
        assert found.json["device"]["profile"]["type"] == "mtty-1"


def test_the_devices_of_a_host_and_one_by_its_name(url: str) -> None:
    """A list either way; with what the device saves and loads."""
    by_host = asked(url, "/v1/devices?host=alpha").json["devices"]
    by_name = asked(url, f"/v1/devices?name={uuid_of(1)}").json["devices"]
    assert by_host == by_name
    assert [(row["device"], row["type"], row["driver"]) for row in by_host] == [(uuid_of(1), "mtty-1", "mtty")]
    assert by_host[0]["support"]["format"] == "mtty"


def test_an_ambiguous_device_names_its_hosts(url: str) -> None:
    """As through every door."""
    for path in (f"/v1/devices/{uuid_of(9)}", f"/v1/devices?name={uuid_of(9)}"):
        told = asked(url, path)
        assert told.status == 400
        assert "host-d, host-e" in told.json["detail"]


def test_the_past_is_asked_for_by_two_times(url: str) -> None:
    """The second device lived for a second."""
    then = "as_of=2026-11-24T00:00:04Z"
    assert asked(url, f"/v1/devices/{uuid_of(2)}?{then}").status == 200
    assert asked(url, f"/v1/devices/{uuid_of(2)}").code == "NOT_FOUND"
    assert asked(url, "/v1/rules?known_at=5").json["rules"] == []


def test_every_verdict_is_a_200(url: str) -> None:
    """Compatible, incompatible and unknown are answers; what can't be answered stands in its pair's place."""
    wanted = ["beta", "eta", "zeta", "nowhere", "beta/mtty9"]
    pairs = [{"device": uuid_of(1), "to": to} for to in wanted]
    told = posted(url, "/v1/can-migrate", {"pairs": pairs, "stale_after_s": 1e9})
    assert told.status == 200
    answers = told.json["answers"]
    assert [each["to"] for each in answers] == wanted
    outcomes = [each["answer"]["ruling"]["outcome"] for each in answers[:3]]
    assert outcomes == ["compatible", "incompatible", "unknown"]
    assert [each["problem"]["code"] for each in answers[3:]] == ["NOT_FOUND", "NOT_FOUND"]
    assert answers[3]["problem"]["message"] == "no host is named 'nowhere'"


def test_a_batch_longer_than_one_turn_keeps_its_order(url: str) -> None:
    """The database is asked in turns of fifty pairs."""
    wanted = [["beta", "eta", "nowhere"][index % 3] for index in range(130)]
    body = {"pairs": [{"device": uuid_of(1), "to": to} for to in wanted], "as_of": "2026-11-24T00:00:04Z"}
    told = posted(url, "/v1/can-migrate", body)
    assert [each["to"] for each in told.json["answers"]] == wanted
    assert told.json["position"] == 31


def test_explained_answers_are_those_of_the_library(url: str) -> None:
    """All reasons with their sentences, and the problem of a pair that has no answer."""
    pairs = [{"device": uuid_of(1), "to": to} for to in ("beta", "nowhere")]
    body = {"pairs": pairs, "as_of": "2026-11-24T00:00:04Z", "explain": True}
    found, missing = posted(url, "/v1/can-migrate", body).json["answers"]
    assert "STREAM_VERSION_TOO_OLD" in {reason["code"] for reason in found["answer"]["verdict"]["reasons"]}
    assert all(reason["text"] for reason in found["answer"]["verdict"]["reasons"])
    assert missing["problem"]["code"] == "NOT_FOUND"


@pytest.mark.parametrize(("count", "explain"), [(101, True), (10_001, False)])
def test_too_many_pairs_are_refused_whole(url: str, count: int, explain: bool) -> None:
    """By a code that says so."""
    told = posted(url, "/v1/can-migrate", {"pairs": [{"device": "d", "to": "t"}] * count, "explain": explain})
    assert (told.status, told.code) == (400, "TOO_MANY_PAIRS")


def test_no_pairs_have_no_answers(url: str) -> None:
    """An empty question is one."""
    for explain in (False, True):
        assert posted(url, "/v1/can-migrate", {"pairs": [], "explain": explain}).json["answers"] == []


def test_a_rule_is_added_and_ended(face: Face) -> None:
    """It decides from then on; asking to add it again gives the same."""
    url = face(HttpConfig(LOOPBACK)).http_url
    rule = {"id": "new", "effect": "deny", "author": "me", "message": "no", "valid_from": "2026-11-24T00:00:00Z"}
    added = posted(url, "/v1/rules", rule)
    assert added.status == 201
    assert posted(url, "/v1/rules", rule).json == added.json
    question = {"pairs": [{"device": uuid_of(1), "to": "beta"}]}
    (told,) = posted(url, "/v1/can-migrate", question).json["answers"]
    assert "RULE_DENIES" in told["answer"]["ruling"]["codes"]
    ended = posted(url, f"/v1/rules/{added.json['id']}/end", {"author": "me"})
    assert ended.status == 200
    assert ended.json["valid_until"]
    again = posted(url, f"/v1/rules/{added.json['id']}/end", {"author": "me"})
    assert (again.status, again.code) == (400, "RULE_ENDED")
    assert posted(url, "/v1/rules/r999/end", {"author": "me"}).code == "NOT_FOUND"


def test_a_reason_code_is_explained(url: str) -> None:
    """However it is written."""
    assert asked(url, "/v1/explain/host-stale").json["code"] == "HOST_STALE"
    assert asked(url, "/v1/explain/HOST_STAL").json["nearest"][0] == "HOST_STALE"


def test_the_page_lists_what_can_be_asked_and_loads_nothing(url: str) -> None:
    """Server-rendered, and forbidden to run or fetch anything."""
    page = asked(url, "/")
    assert page.headers["content-type"].startswith("text/html")
    assert b"/v1/can-migrate" in page.body
    assert b"<script" not in page.body
    assert "default-src 'none'" in page.headers["content-security-policy"]
