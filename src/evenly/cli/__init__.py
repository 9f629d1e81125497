"""The command line: one thin file per command. Heavy packages are imported inside command bodies only."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; a failure the user can mend is one line on standard error and exit status 2.

    Args:
        arguments: what follows ``evenly``; default: what this process was started with.
    """
    from evenly.errors import EvenlyError

    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        from evenly.cli.app import app

        status = app(None if arguments is None else given, prog_name="evenly", standalone_mode=False)
    except KeyboardInterrupt:  # as the commands are loaded
        status = INTERRUPTED
    except EvenlyError as error:
        from evenly.cli.options import as_typed

        _fail(as_typed(str(error)))
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:
        # What the parser of the command line refuses; the library it comes from was renamed between versions.
        if not hasattr(error, "format_message"):
            raise
        path = getattr(getattr(error, "ctx", None), "command_path", " ".join(["evenly", *given[:1]]))
        said = _said(error)
        _fail(f"{said}; see {path} --help")
    if status == INTERRUPTED:  # the parser turns Ctrl-C into this
        print(
            "evenly: stopped; the same command goes on from what is in the cache (with --no-cache it starts anew)",
            file=sys.stderr,
        )
    sys.exit(status if isinstance(status, int) else 0)


def _said(error: Any) -> str:
    """What the parser says, with the option that was probably meant."""
    if names := getattr(error, "possibilities", None):
        from difflib import get_close_matches

        near = get_close_matches(error.option_name, names, n=1)
        return f"there is no option {error.option_name}" + (f"; did you mean {near[0]}?" if near else "")
    said = str(error.format_message()).rstrip(".")
    return said.replace(": Value error, ", ": ")  # who checked it


def _fail(line: str) -> None:
    print(f"evenly: {line}", file=sys.stderr)
    sys.exit(2)
