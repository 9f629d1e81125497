"""The command line: one thin file per command. Heavy packages are imported inside command bodies only."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; a failure the user can mend is one line on standard error and exit status 2.

    Args:
        arguments: what follows ``evenly``; default: what this process was started with.
    """
    from evenly.cli.app import app
    from evenly.errors import EvenlyError

    try:
        app(None if arguments is None else list(arguments))
    except EvenlyError as error:
        print(f"evenly: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("evenly: stopped; what was embedded and picked so far is in the cache", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
