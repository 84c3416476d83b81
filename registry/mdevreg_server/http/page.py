"""The page at `/`: what can be asked here. Rendered on the server, no script, no style."""

from __future__ import annotations

from html import escape
from typing import Any


def page(document: dict[str, Any]) -> str:
    """HTML that lists every operation of an OpenAPI document."""
    rows = "\n".join(
        f"<tr><td>{method.upper()}</td><td><code>{escape(path)}</code></td><td>{escape(operation['summary'])}</td></tr>"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )
    version = escape(document["info"]["version"])
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>mdevreg {version}</title></head>
<body>
<h1>mdevreg {version}</h1>
<p>{escape(document["info"]["description"])} The contract: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>
<table>
<thead><tr><th scope="col">Method</th><th scope="col">Path</th><th scope="col">What it does</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</body>
</html>
"""
