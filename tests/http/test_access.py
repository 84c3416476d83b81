"""Who may ask and decide: loopback, tokens, scopes, and how often."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mdevreg.errors import StateError, UsageError
from mdevreg_server.http.address import address_of, is_loopback
from mdevreg_server.http.buckets import BURST_S, Buckets
from mdevreg_server.http.config import HttpConfig, listen
from mdevreg_server.http.tokens import read_tokens
from support.faces import LOOPBACK, Face
from support.http_asked import Told, asked, bearer, posted, tokens_file
from support.processes import eventually

RULE = {"id": "new", "effect": "deny", "author": "me", "message": "no", "valid_from": "2026-11-24T00:00:00Z"}


def _refused(told: Told) -> tuple[int, str]:
    return told.status, told.code


def test_with_tokens_nobody_is_served_without(face: Face, tmp_path: Path) -> None:
    """401 with a challenge for none, a wrong one, and another scheme; health needs none, figures do."""
    file = tokens_file(tmp_path / "tokens.toml", reader='["read"]')
    url = face(HttpConfig(LOOPBACK, tokens=file)).http_url
    for headers in ({}, bearer("wrong"), bearer(""), {"Authorization": "Basic cmVhZGVy"}, {"Authorization": "reader"}):
        told = asked(url, "/v1/hosts", headers=headers)
        assert _refused(told) == (401, "TOKEN_NEEDED")
        assert told.headers["www-authenticate"].startswith("Bearer ")
    assert asked(url, "/v1/hosts", headers=bearer("reader")).status == 200
    assert asked(url, "/metrics").status == 401
    assert asked(url, "/metrics", headers=bearer("reader")).status == 200
    assert [asked(url, path).status for path in ("/healthz", "/readyz", "/openapi.json", "/")] == [200] * 4


def test_a_scope_is_what_a_token_is_good_for(face: Face, tmp_path: Path) -> None:
    """Readers ask, also in batches; writers decide, and nothing else. The log says whose token decided."""
    file = tokens_file(tmp_path / "tokens.toml", reader='["read"]', writer='["write"]', both='["read", "write"]')
    registry = face(HttpConfig(LOOPBACK, tokens=file))
    url = registry.http_url
    assert posted(url, "/v1/can-migrate", {"pairs": []}, **bearer("reader")).status == 200
    told = posted(url, "/v1/rules", RULE, **bearer("reader"))
    assert _refused(told) == (403, "SCOPE_NEEDED")
    assert 'scope="write"' in told.headers["www-authenticate"]
    assert _refused(asked(url, "/v1/rules", headers=bearer("writer"))) == (403, "SCOPE_NEEDED")
    added = posted(url, "/v1/rules", RULE, **bearer("writer"))
    assert added.status == 201
    assert posted(url, f"/v1/rules/{added.json['id']}/end", {"author": "me"}, **bearer("both")).status == 200
    registry.until_said("http.decided endpoint=add-rule")
    assert any("token='both'" in line for line in registry.said)


def test_tokens_are_read_again_when_the_file_changes(face: Face, tmp_path: Path) -> None:
    """A revoked token is refused at once; a faulty file lets nobody in, and the log says why."""
    file = tmp_path / "tokens.toml"
    registry = face(HttpConfig(LOOPBACK, tokens=tokens_file(file, old='["read"]')))
    url = registry.http_url
    assert asked(url, "/v1/rules", headers=bearer("old")).status == 200
    tokens_file(file, new='["read"]')
    assert asked(url, "/v1/rules", headers=bearer("old")).status == 401
    assert asked(url, "/v1/rules", headers=bearer("new")).status == 200
    file.write_text("[[token]]\nname = 1")
    told = asked(url, "/v1/rules", headers=bearer("new"))
    assert _refused(told) == (503, "HTTP_TOKENS")
    assert str(file) not in told.json["detail"]
    assert any(line.startswith("http.tokens_refused") and str(file) in line for line in registry.said)
    tokens_file(file, new='["read"]')
    assert asked(url, "/v1/rules", headers=bearer("new")).status == 200
    file.unlink()
    assert asked(url, "/v1/rules", headers=bearer("new")).status == 503


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o660, 0o602])
def test_a_file_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    """The way out is in the message."""
    file = Path(tokens_file(tmp_path / "tokens.toml", a='["read"]'))
    file.chmod(mode)
    with pytest.raises(StateError, match="chmod 600"):
        read_tokens(file)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "token = []",
        "not toml",
        '[[token]]\nname = "a"\nsha256 = "abc"\nscopes = ["read"]',
        f'[[token]]\nname = "a"\nsha256 = "{"0" * 64}"\nscopes = []',
        f'[[token]]\nname = "a"\nsha256 = "{"0" * 64}"\nscopes = ["admin"]',
        f'[[token]]\nname = "a"\nsha256 = "{"0" * 64}"\nscopes = ["read"]\n' * 2,
    ],
)
def test_a_file_that_holds_no_tokens_is_refused(tmp_path: Path, text: str) -> None:
    """None, one that is no digest, without a scope or with an unknown one, the same one twice."""
    file = tmp_path / "tokens.toml"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(StateError) as caught:
        read_tokens(file)
    assert caught.value.code == "HTTP_TOKENS"


def test_a_registry_does_not_start_with_tokens_that_can_not_be_used(tmp_path: Path) -> None:
    """Before it connects to anything."""
    with pytest.raises(StateError, match="No such file"):
        listen(HttpConfig(LOOPBACK, tokens=str(tmp_path / "none.toml")))


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "registry.example:0", "192.0.2.1:80"])
def test_without_tokens_only_loopback_is_listened_on(address: str) -> None:
    """The refusal names both ways out."""
    with pytest.raises(StateError, match=r"--http-tokens.*127\.0\.0\.1") as caught:
        listen(HttpConfig(address))
    assert caught.value.code == "HTTP_OPEN"


def test_with_tokens_others_are_listened_for(tmp_path: Path) -> None:
    """That is what they are for."""
    listen(HttpConfig("0.0.0.0:0", tokens=tokens_file(tmp_path / "tokens.toml", a='["read"]'))).close()


def test_answers_do_not_wait_for_acknowledgements() -> None:
    """The option that connections inherit: without it each answer takes 40 ms."""
    with listen(HttpConfig(LOOPBACK)) as listening:
        assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_taken_port_is_told() -> None:
    """With the way out."""
    with listen(HttpConfig(LOOPBACK)) as first, pytest.raises(StateError, match="--http") as caught:
        listen(HttpConfig(f"127.0.0.1:{first.getsockname()[1]}"))
    assert caught.value.code == "HTTP_ADDRESS"


@pytest.mark.parametrize(
    "text", ["", "8080", ":8080", "host:", "host:port", "host:70000", "::1:80", "[host]:80", "a:²"]
)
def test_what_is_no_address_is_told(text: str) -> None:
    """A port alone would leave open who is served."""
    with pytest.raises(UsageError, match="HOST:PORT"):
        address_of(text)


def test_addresses_are_read() -> None:
    """IPv6 in brackets."""
    assert address_of("127.0.0.1:80") == ("127.0.0.1", 80)
    assert address_of("[::1]:0") == ("::1", 0)
    assert [is_loopback(name) for name in ("localhost", "127.8.8.8", "::1", "a.localhost.", "localhost.evil")] == [
        True,
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", "[", "192.0.2.1"])
def test_without_tokens_a_request_names_this_machine(url: str, host: str) -> None:
    """A browser whose DNS was rebound speaks for somebody else."""
    assert _refused(asked(url, "/v1/hosts", headers={"Host": host})) == (403, "HOST_REFUSED")
    assert asked(url, "/v1/hosts", headers={"Host": "localhost:1"}).status == 200
    assert asked(url, "/v1/hosts", headers={"Host": "[::1]:1"}).status == 200


def test_who_asks_too_often_is_told_to_wait(face: Face) -> None:
    """429 with Retry-After; after that time there is an answer. Health is always told."""
    url = face(HttpConfig(LOOPBACK, rate=1.0)).http_url
    told = [asked(url, "/v1/rules") for _ in range(6)]
    assert told[0].status == 200
    assert _refused(told[-1]) == (429, "TOO_MANY_REQUESTS")
    assert 1 <= int(told[-1].headers["retry-after"]) <= 2
    assert asked(url, "/healthz").status == 200
    eventually(lambda: asked(url, "/v1/rules").status == 200, "a token dripped into the bucket", timeout_s=5)


def test_tokens_have_buckets_of_their_own(face: Face, tmp_path: Path) -> None:
    """One eager client does not keep another waiting that comes by the same proxy."""
    file = tokens_file(tmp_path / "tokens.toml", eager='["read"]', calm='["read"]')
    url = face(HttpConfig(LOOPBACK, tokens=file, rate=1.0)).http_url
    assert [asked(url, "/v1/rules", headers=bearer("eager")).status for _ in range(5)][-1] == 429
    assert asked(url, "/v1/rules", headers=bearer("calm")).status == 200


def test_a_bucket_gives_its_rate_and_no_more() -> None:
    """A full one holds two seconds' worth; what is told to wait for is then there."""
    buckets = Buckets(10.0)
    granted = sum(buckets.wait_s("a", 100.0 + step / 1_000) == 0.0 for step in range(3_000))
    assert granted in {int(10 * BURST_S) + 29, int(10 * BURST_S) + 30}
    wait_s = next(filter(None, (buckets.wait_s("a", 103.0) for _ in range(3))))
    assert 0 < wait_s <= 0.1
    assert buckets.wait_s("a", 103.0 + wait_s + 1e-9) == 0.0
    assert buckets.wait_s("b", 103.0) == 0.0


def test_buckets_forget_who_asked_longest_ago() -> None:
    """Addresses are cheap to invent."""
    buckets = Buckets(1.0, clients=3)
    for client in "abcd":
        while buckets.wait_s(client, 0.0) == 0.0:
            pass
    assert buckets.wait_s("d", 0.0) > 0.0
    assert buckets.wait_s("a", 0.0) == 0.0
