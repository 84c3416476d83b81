"""The registry's HTTP face: questions and decisions over HTTP, its health, its figures. Litestar on uvicorn.

What is asked and answered is in ``mdevreg.query.requests`` and ``mdevreg_server.answers``, as for NATS; here is only
what HTTP adds: paths, forms (JSON, NDJSON, CSV), problems, tokens, bounds. ``docs/http.md`` is its contract.
"""
