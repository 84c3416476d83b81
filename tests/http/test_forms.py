"""The forms of a list, what is accepted, and tags that tell whether an answer changed."""

from __future__ import annotations

import csv
import io
import json
import time

import pytest

from mdevreg.facts import Change, DriverSpread
from mdevreg.records import DriverBuild
from mdevreg_server.http.config import HttpConfig
from mdevreg_server.http.sheets import csv_of, names_of
from support.faces import LOOPBACK, Face
from support.hosts import uuid_of
from support.http_asked import asked, pages, posted

TARGETS = f"/v1/targets?device={uuid_of(1)}&stale_after_s=1e9"
LISTS = {
    "/v1/hosts": "hosts",
    TARGETS: "rows",
    "/v1/devices?host=alpha": "devices",
    "/v1/history/alpha": "changes",
    "/v1/diff?from_known_at=3": "rows",
    "/v1/entries?limit=5": "entries",
    "/v1/drivers": "drivers",
    "/v1/rules": "rules",
    "/v1/drivers/distribution?by=type": "drivers",
    "/v1/upgrades": "upgrades",
    "/v1/upgrades/stragglers?driver=mtty+2": "stragglers",
}
RULE = {"id": "new", "effect": "deny", "author": "me", "message": "no", "valid_from": "2026-11-24T00:00:00Z"}


def _rows(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode(), newline=""), strict=True))


@pytest.mark.parametrize("path", LISTS)
def test_a_list_is_given_line_by_line(url: str, path: str) -> None:
    """NDJSON: the rows of the JSON form, one on each line; the position is in a header."""
    whole = asked(url, path)
    told = asked(url, path, headers={"Accept": "application/x-ndjson"})
    assert told.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in told.body.splitlines()]
    ages = {"facts_age_s", "reliable_for_s"}
    known = [{k: v for k, v in row.items() if k not in ages} for row in whole.json[LISTS[path]]]
    assert [{k: v for k, v in line.items() if k not in ages} for line in lines] == known
    assert told.headers["x-position"] == str(whole.json["position"])
    if "snapshot" in whole.json:
        again = asked(url, f"{path}{'&' if '?' in path else '?'}snapshot={whole.json['snapshot'].replace(':', '%3A')}")
        assert again.json["snapshot"] == whole.json["snapshot"]
        assert told.headers["x-snapshot"].partition("@")[0] == str(whole.json["position"])


@pytest.mark.parametrize("path", LISTS)
def test_a_list_is_given_as_csv(url: str, path: str) -> None:
    """RFC 4180: a header, as many fields in each line, CRLF at its end."""
    told = asked(url, path, headers={"Accept": "text/csv"})
    assert told.headers["content-type"] == "text/csv; header=present; charset=utf-8"
    assert told.body.endswith(b"\r\n")
    header, *rows = _rows(told.body)
    assert len(set(header)) == len(header)
    assert len(rows) == len(asked(url, path).json[LISTS[path]])
    assert {len(row) for row in rows} == {len(header)}


def test_csv_pages_follow_the_same_links(url: str) -> None:
    """A program that reads CSV needs no JSON to go on."""
    told = list(pages(url, "/v1/hosts?limit=3", headers={"Accept": "text/csv"}))
    names = [row[1] for page in told for row in _rows(page.body)[1:]]
    assert names == ["alpha", "beta", "eta", "gamma", "twin", "twin", "zeta"]


def test_a_batch_is_given_as_csv_too(url: str) -> None:
    """A row for each pair, with the problem's code where there is no answer."""
    pairs = [{"device": uuid_of(1), "to": to} for to in ("beta", "nowhere")]
    told = posted(url, "/v1/can-migrate", {"pairs": pairs, "stale_after_s": 1e9}, Accept="text/csv")
    header, answered, missing = _rows(told.body)
    assert answered[header.index("outcome")] == "compatible"
    assert (missing[header.index("outcome")], missing[header.index("code")]) == ("", "NOT_FOUND")


def test_cells_are_quoted_where_they_must_be() -> None:
    """Commas, quotes and line ends in a name do not break a row; nothing is an empty cell."""
    build = DriverBuild(name='a,"b"', module="two\nlines", version="é")
    told = csv_of(DriverSpread, [DriverSpread(build, 3, 4)])
    assert _rows(told) == [names_of(DriverSpread), ['a,"b"', "two\nlines", "", "é", "", "", "3", "4"]]


def test_a_row_without_a_time_has_an_empty_cell() -> None:
    """`null` is no text of ours."""
    assert names_of(Change)[:2] == ["valid_from", "valid_to"]


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("*/*", "application/json"),
        ("text/*", "text/csv"),
        ("text/csv;q=0.1, application/json;q=0.9", "application/json"),
        ("text/html, application/x-ndjson", "application/x-ndjson"),
        ("application/json;q=0, */*", "application/x-ndjson"),
        ("text/csv;q=abc", "text/csv"),
        ("", "application/json"),
    ],
)
def test_the_form_that_is_preferred_is_given(url: str, accept: str, given: str) -> None:
    """By the weights of `Accept`."""
    told = asked(url, "/v1/drivers", headers={"Accept": accept})
    assert told.headers["content-type"].partition(";")[0] == given
    assert "Accept" in told.headers["vary"]


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/v1/hosts", "image/png"),
        ("/v1/hosts/alpha", "text/csv"),
        ("/v1/hosts", "text/csv;q=0"),
        ("/v1/hosts", "text/csv;q=inf"),
        ("/v1/hosts", ",;"),
    ],
)
def test_what_can_not_be_given_is_a_406(url: str, path: str, accept: str) -> None:
    """It says what can."""
    told = asked(url, path, headers={"Accept": accept})
    assert (told.status, told.code) == (406, "NOT_ACCEPTABLE")
    assert "application/json" in told.json["detail"]


@pytest.mark.parametrize("path", [*LISTS, "/v1/hosts/alpha", f"/v1/pair?device={uuid_of(1)}&host=beta"])
def test_who_has_the_answer_is_told_so(url: str, path: str) -> None:
    """304 without a body, with the same tag; any other tag, and any other form, gets the answer."""
    tag = asked(url, path).headers["etag"]
    again = asked(url, path, headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    assert asked(url, path, headers={"If-None-Match": '"other"'}).status == 200
    if path in LISTS:
        form = {"Accept": "application/x-ndjson"}
        assert asked(url, path, headers={**form, "If-None-Match": tag}).status == 200


def test_ages_alone_are_no_news(url: str) -> None:
    """A verdict's facts age all the time; the tag tells of verdicts. It is weak: the bytes differ."""
    first = asked(url, TARGETS)
    time.sleep(0.01)
    second = asked(url, TARGETS)
    assert first.body != second.body
    assert first.headers["etag"] == second.headers["etag"]
    assert first.headers["etag"].startswith('W/"')


def test_a_decision_is_news(face: Face) -> None:
    """What follows from the log alone has a strong tag, which moves with the log."""
    url = face(HttpConfig(LOOPBACK)).http_url
    before = {path: asked(url, path).headers["etag"] for path in ("/v1/rules", TARGETS)}
    assert not before["/v1/rules"].startswith("W/")
    assert posted(url, "/v1/rules", RULE).status == 201
    for path, tag in before.items():
        assert asked(url, path, headers={"If-None-Match": tag}).status == 200, path
