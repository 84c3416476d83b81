"""The OpenAPI document: true to the answers, and a server that a fuzzer can't bring to a fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mdevreg_server.http.config import HttpConfig
from mdevreg_server.http.openapi import document
from mdevreg_server.http.routes import ROUTES
from support.faces import LOOPBACK, faced
from support.hosts import uuid_of
from support.http_asked import asked, posted
from support.processes import eventually

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
#: The same requests in every run; a fault that is found is found again.
FUZZ = settings(
    derandomize=True,
    max_examples=12,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that may be decided upon, and asked as often as a fuzzer likes."""
    with faced(tmp_path_factory.mktemp("fuzz"), HttpConfig(LOOPBACK, rate=1e6)) as (registry, _):
        yield registry.http_url
        assert [line for line in registry.said if line.startswith("http.failed")] == []


@pytest.fixture
def ready(server: str) -> str:
    """The registry, once its index has all that was decided here: until then there is no map (503, Retry-After)."""
    eventually(lambda: asked(server, "/v1/hosts/beta/accepting").status == 200, "the index has come so far")
    return server


def _small() -> dict[str, Any]:
    """The document, with batches that a database answers in no time: a long one may end in 503 (TIMEOUT)."""
    found = document("1", "/")
    found["components"]["schemas"]["CanMigrate"]["properties"]["pairs"]["maxItems"] = 5
    return found


schema = schemathesis.openapi.from_dict(_small())


@schema.parametrize()
@FUZZ
def test_no_request_brings_the_server_to_a_fault(case: schemathesis.Case[Any], ready: str) -> None:
    """No 5xx; every answer has a status, a form and a body that the document tells."""
    case.call_and_validate(base_url=ready, checks=CHECKS)


ASKED: list[tuple[str, str, dict[str, Any], Any]] = [
    ("GET", "/v1/targets", {"device": uuid_of(1)}, None),
    ("GET", "/v1/targets", {"device": uuid_of(1), "limit": 1, "stale_after_s": 1e9, "outcome": "compatible"}, None),
    ("GET", "/v1/hosts", {"limit": 2, "as_of": "2026-11-24T00:00:04Z"}, None),
    ("GET", "/v1/hosts/{host}", {"host": "beta"}, None),
    ("GET", "/v1/devices", {"host": "alpha"}, None),
    ("GET", "/v1/devices/{device}", {"device": uuid_of(1)}, None),
    ("GET", "/v1/devices/{device}", {"device": "eta/mtty7/mtty-7"}, None),
    ("GET", "/v1/history/{name}", {"name": "alpha", "limit": 3}, None),
    ("GET", "/v1/history/{name}", {"name": "mtty", "kind": "driver"}, None),
    ("GET", "/v1/diff", {"from_as_of": "2026-11-24T00:00:02Z", "limit": 1, "capacity": True}, None),
    ("GET", "/v1/entries", {"after": 2, "limit": 3}, None),
    ("GET", "/v1/timelines", {"table": "offer", "limit": 2}, None),
    ("GET", "/v1/drivers", {}, None),
    ("GET", "/v1/rules", {}, None),
    ("GET", "/v1/pair", {"device": uuid_of(1), "host": "beta"}, None),
    ("GET", "/v1/candidates", {"device": uuid_of(1)}, None),
    ("GET", "/v1/loading", {"format": "mtty"}, None),
    ("GET", "/v1/drivers/distribution", {"by": "model", "where": "site=lab"}, None),
    ("GET", "/v1/drivers/trend", {"over_s": 600, "step_s": 60, "where": "host=alpha"}, None),
    ("GET", "/v1/upgrades", {"host": "beta", "limit": 1, "where": "version=3|4"}, None),
    ("GET", "/v1/upgrades/stragglers", {"driver": "mtty 2", "limit": 1}, None),
    ("GET", "/v1/explain/{code}", {"code": "HOST_STALE"}, None),
    ("POST", "/v1/can-migrate", {}, {"pairs": [{"device": uuid_of(1), "to": "beta"}]}),
    ("POST", "/v1/can-migrate", {}, {"pairs": [{"device": uuid_of(1), "to": "twin"}], "explain": True}),
]


@pytest.mark.parametrize(("method", "path", "fields", "body"), ASKED)
def test_real_answers_are_as_the_document_says(
    server: str, method: str, path: str, fields: dict[str, Any], body: Any
) -> None:
    """A fuzzer's names are nobody's; these are somebody's."""
    inside = {name: value for name, value in fields.items() if f"{{{name}}}" in path}
    query = {name: value for name, value in fields.items() if name not in inside}
    given = {} if body is None else {"body": body, "media_type": "application/json"}
    case = schema[path][method].Case(path_parameters=inside, query=query, **given)
    assert case.call_and_validate(base_url=server, checks=CHECKS).status_code == 200


def _operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in document("1", "/")["paths"].items():
        for method, operation in operations.items():
            yield method, path, operation


def test_every_reference_leads_somewhere() -> None:
    """And every schema is there because something refers to it, or to what refers to it."""
    found = document("1", "/")
    text = json.dumps(found)
    names = set(found["components"]["schemas"])
    used = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert used == names


def test_operations_have_names_of_their_own() -> None:
    """Generators of clients make functions of them."""
    names = [operation["operationId"] for _, _, operation in _operations()]
    assert len(set(names)) == len(names)
    assert all(name.isalnum() for name in names)


@pytest.mark.parametrize("operation", [op for _, _, op in _operations()], ids=lambda op: op["operationId"])
def test_what_can_go_wrong_is_told(operation: dict[str, Any]) -> None:
    """Errors are problems in the document too."""
    for status, told in operation["responses"].items():
        if int(status) >= 400:
            assert list(told["content"]) == ["application/problem+json"]
    assert operation["summary"].endswith(".")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_the_examples_can_be_asked(ready: str, route: Any) -> None:
    """They name hosts of the demo, not of this fleet: they are understood, and nothing of that name is here."""
    path, query = route.path, dict(route.example)
    if route.named:
        path = path.replace(f"{{{route.named}}}", query.pop(route.named))
    told = asked(ready, f"{path}?{urlencode(query)}" if query else path)
    assert told.status in {200, 404} or told.json["code"] == "NO_HOSTS", told.body


def test_the_shown_bodies_can_be_posted(server: str) -> None:
    """A newcomer copies them."""
    operations = document("1", "/")["paths"]
    for path in ("/v1/can-migrate", "/v1/rules"):
        body = operations[path]["post"]["requestBody"]["content"]["application/json"]["examples"]["shown"]["value"]
        assert posted(server, path, body).status in {200, 201}


def test_the_document_says_what_it_refuses() -> None:
    """Bodies with unknown fields do not match it."""
    schemas = document("1", "/")["components"]["schemas"]
    for name in ("CanMigrate", "End", "Rule", "PairAsked"):
        assert schemas[name]["additionalProperties"] is False
    assert msgspec.json.encode(schemas)  # plain JSON, no tuple or set of ours is lost in it
