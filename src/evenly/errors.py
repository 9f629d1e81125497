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
