"""``mdevreg stream``: what saved streams say of themselves."""

from __future__ import annotations

from typing import ClassVar

import click

from mdevreg.cli.options import Questions, output_options


class Stream(Questions):
    """``mdevreg stream``."""

    examples = (("mdevreg stream inspect saved.bin", "Which driver wrote this stream, and in which version?"),)
    lazy: ClassVar[dict[str, str]] = {"inspect": "mdevreg.cli.commands.stream_inspect"}


@click.group("stream", cls=Stream, params=output_options())
def command() -> None:
    """Look at a saved migration stream."""
