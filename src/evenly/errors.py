"""The errors that users see: one line each, saying what was given, what was expected and what to do."""


class EvenlyError(Exception):
    """A failure the user can mend. The command line prints it as one line and exits with status 2."""


class InputError(EvenlyError, ValueError):
    """What was given cannot be used: a file, a row, a vector, an option."""


class MissingExtraError(EvenlyError, ImportError):
    """A feature needs packages that are not installed.

    Args:
        feature: what the user asked for, in words.
        extra: the name of the extra of ``evenly`` that brings it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f'{feature} needs packages that are not installed; run: pip install "evenly[{extra}]"'
        )


def first_line(error: BaseException) -> str:
    """What an error of another library says, on one line and without its full stop; its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
