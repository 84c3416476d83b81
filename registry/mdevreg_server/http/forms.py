"""The forms of an answer: JSON always, NDJSON and CSV where it is a list; and the tag that tells whether it changed."""

from __future__ import annotations

import hashlib
import re
from importlib.metadata import version
from typing import Any, Literal, get_args, get_type_hints
from urllib.parse import parse_qsl, urlencode

import msgspec
from litestar import Request, Response
from litestar.datastructures.headers import Accept

from mdevreg_server.http.problems import RefusedError
from mdevreg_server.http.sheets import csv_of

JSON, NDJSON, CSV = "application/json", "application/x-ndjson", "text/csv"

#: What tells that an answer is another one. ``log``: it follows from the log alone, so that the position tells;
#: ``facts``: every byte counts; ``verdicts``: the ages of the facts do not.
Tag = Literal["log", "facts", "verdicts"]

_AGES = re.compile(rb'"(?:answered_at|facts_age_s|reliable_for_s)":(?:"[^"]*"|[^,}]*)')
#: Tells when it was asked, beside the position.
_SNAPSHOT = re.compile(rb'"snapshot":"[^"]*"')
_REFUSES = re.compile(r";\s*q=0(?:\.0*)?\s*(?:;|$)", re.IGNORECASE)
_encoder = msgspec.json.Encoder()


def rows_kind(reply: type[msgspec.Struct], rows: str) -> type[msgspec.Struct]:
    """The struct of the rows in a reply."""
    kind: type[msgspec.Struct] = get_args(get_type_hints(reply)[rows])[0]
    return kind


def query_of(request: Request[Any, Any, Any]) -> list[tuple[str, str]]:
    """The query, in its order; empty values are values."""
    return parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)


def chosen(request: Request[Any, Any, Any], *, listed: bool) -> str:
    """The form that the caller prefers. Raises ``RefusedError`` (406)."""
    forms = [JSON, NDJSON, CSV] if listed else [JSON]
    accept = ",".join(request.headers.getall("accept", []))
    found = _best(accept, forms) if accept else JSON
    if found is None:
        raise RefusedError(406, "NOT_ACCEPTABLE", f"{accept!r} can't be given here; what can: {', '.join(forms)}")
    return found


def _best(accept: str, forms: list[str]) -> str | None:
    """As Litestar finds it, which takes ``q=0`` for the least wish; it is a refusal."""
    parts = accept.split(",")
    refused = {part.partition(";")[0].strip().lower() for part in parts if _REFUSES.search(part)}
    wanted = ",".join(part for part in parts if not _REFUSES.search(part))
    try:
        return Accept(wanted).best_match([form for form in forms if form not in refused])
    except OverflowError:  # q=inf
        return None


class Rendered(msgspec.Struct, frozen=True):
    """A reply as bytes. ``next``: the cursor of the next page; ``etag``: what tells it from another.

    ``position``, ``snapshot``: of a list whose rows alone are told.
    """

    body: bytes
    form: str
    position: int | None = None
    snapshot: str | None = None
    next: str | None = None
    etag: str | None = None


def render(reply: Any, form: str, *, rows: str | None = None, tag: Tag | None = None) -> Rendered:
    """The whole of a reply. Takes a while for a large one: not for the event loop."""
    listed = rows is not None and form != JSON
    body = _listed(reply, str(rows), form) if listed else _encoder.encode(reply)
    following = getattr(reply, "next", None)
    etag = None if tag is None else _tag(tag, reply, body, form, following)
    position, snapshot = (reply.position, getattr(reply, "snapshot", None)) if listed else (None, None)
    return Rendered(body, form, position, snapshot, following, etag)


def response(request: Request[Any, Any, Any], rendered: Rendered, *, status: int = 200) -> Response[bytes]:
    """The response, or 304 if the caller has it."""
    form, etag = rendered.form, rendered.etag
    headers = {"Vary": "Accept, Authorization", "Cache-Control": "private, no-cache" if etag else "no-store"}
    if rendered.next is not None:
        headers["Link"] = f'<{_following(request, rendered.next)}>; rel="next"'
    if rendered.position is not None:
        headers["X-Position"] = str(rendered.position)
    if rendered.snapshot:
        headers["X-Snapshot"] = rendered.snapshot
    if etag is not None:
        headers["ETag"] = etag
        if _has(request.headers.get("if-none-match"), etag):
            return Response(b"", status_code=304, headers=headers, media_type=form)
    media_type = f"{form}; header=present" if form == CSV else form
    return Response(rendered.body, status_code=status, headers=headers, media_type=media_type)


def _listed(reply: Any, rows: str, form: str) -> bytes:
    listed = getattr(reply, rows)
    if form == CSV:
        return csv_of(rows_kind(type(reply), rows), listed)
    return b"".join(_encoder.encode(row) + b"\n" for row in listed)


def _following(request: Request[Any, Any, Any], cursor: str) -> str:
    """The path and query of the next page."""
    others = [(name, value) for name, value in query_of(request) if name != "cursor"]
    return f"{request.scope['raw_path'].decode('ascii')}?{urlencode([*others, ('cursor', cursor)])}"


def _tag(tag: Tag, reply: Any, body: bytes, form: str, following: str | None) -> str:
    if tag == "log":
        return f'"{version("mdevreg")}-{reply.position}-{form.rpartition("/")[2]}"'
    told = body if form == CSV else _SNAPSHOT.sub(b"", body)
    told = _AGES.sub(b"", told) if tag == "verdicts" and form != CSV else told
    return f'W/"{hashlib.sha256(told + (following or "").encode()).hexdigest()[:32]}"'


def _has(header: str | None, etag: str) -> bool:
    """Whether ``If-None-Match`` names this tag, by the weak comparison that it asks for (RFC 9110)."""
    given = {each.strip().removeprefix("W/") for each in (header or "").split(",")}
    return "*" in given or etag.removeprefix("W/") in given
