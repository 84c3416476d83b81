"""Commands whose help begins with examples: most readers need no more."""

from __future__ import annotations

from typing import Any

import click

#: (command line, what it does)
Examples = tuple[tuple[str, str], ...]


class Exampled(click.Command):
    """A command whose help begins with ``examples``."""

    examples: Examples = ()

    def __init__(self, *args: Any, examples: Examples = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples or self.examples

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples first, then Click's own."""
        with formatter.section("Examples"):
            for line, purpose in self.examples:
                formatter.write(
                    f"{'':>{formatter.current_indent}}{line}\n{'':>{formatter.current_indent + 4}}{purpose}\n"
                )
        formatter.write_paragraph()
        super().format_help(ctx, formatter)


class ExampledGroup(Exampled, click.Group):
    """A group whose help begins with ``examples``."""
