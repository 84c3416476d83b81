"""The command line ``mdevreg``: asks a registry and prints the answer.

Click is imported on demand, so that an installation without the extra [cli] can say what it lacks.
"""

from __future__ import annotations

import sys

from mdevreg.errors import MissingExtraError


def main() -> None:
    """The console script: answers on stdout, messages on stderr, and an exit code of design.md section 9."""
    try:
        from mdevreg.cli.edge import run
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        missing = MissingExtraError("the command line", "cli")
        sys.stderr.write(f"mdevreg: {missing.code}: {missing}\n")
        sys.exit(missing.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell reports a death by SIGINT
    sys.exit(run(sys.argv[1:]))
