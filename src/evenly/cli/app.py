"""All commands of `evenly`, each loaded when it is asked for, so that help is there at once."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command

from evenly.cli.help import PlainHelp
from evenly.errors import InputError


class Command(NamedTuple):
    """Where a command is written, as module:function, and what it does in one line."""

    place: str
    line: str


GROUPS: dict[str, dict[str, Command]] = {
    "Choose rows": {
        "demo": Command("demo:demo", "Keep the even half of text that is already on this machine."),
        "plan": Command("plan:plan", "Say what select would need: memory, disk and time."),
        "select": Command("select:select", "Keep the rows that lie as far apart as possible."),
        "again": Command("again:again", "Repeat a selection, on the same sources or on others."),
        "slice": Command("slice:slice_order", "Cut another size from a saved order, without picking again."),
        "extend": Command("extend:extend", "Go on from a saved selection with new rows."),
        "split": Command("split:split", "Make a test part that covers the pool, or folds."),
        "score": Command("score:score", "Score rows by a language model: loss, difficulty, margin, length."),
        "strategies": Command(
            "strategies:strategies", "List the strategies that max-min can be compared with."
        ),
    },
    "Check them": {
        "verify": Command("verify:verify", "Check a selection: files, vectors, every pick, the certificate."),
        "measure": Command("measure:measure", "Say how even a file is, or a part of it."),
        "report": Command("report:report", "Write the page of a selection again, with another map."),
        "atlas": Command("atlas:atlas", "Write a selection as the file that Embedding Atlas reads."),
    },
    "Train on them": {
        "compare": Command("compare:compare", "Train on even, random and all rows, and judge what paid."),
        "train": Command("train:train", "Train one model on the rows of some files."),
        "evaluate": Command("evaluate:evaluate", "Score a model on public tests."),
        "export": Command("export:export", "Write the kept rows and a configuration for a training tool."),
        "push": Command("push:push", "Push the kept rows, their record and a card to the hub."),
    },
    "Look deeper": {
        "lab": Command("lab:lab", "Measure and draw the paper's theory, on your own data too."),
        "cache": Command("cache:cache", "Show or clear what is kept between runs."),
    },
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}


class Commands(TyperGroup):
    """The commands by group, none of them imported before it is run."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            near = get_close_matches(cmd_name, COMMANDS, n=1)
            ask = f"did you mean {near[0]}?" if near else "evenly --help lists them"
            raise InputError(f"there is no command {cmd_name}; {ask}")
        module, _, function = COMMANDS[cmd_name].place.partition(":")
        alone = typer.Typer(**SETTINGS, add_completion=False)
        alone.command(cmd_name, cls=PlainHelp)(getattr(import_module(f"evenly.cli.{module}"), function))
        return get_command(alone)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Plain text: what draws boxes takes longer to load than everything else."""
        lines = ["Usage: evenly COMMAND …", "", PROMISE]
        for group, commands in GROUPS.items():
            lines += ["", f"{group}:", *(f"  {name:<11} {one.line}" for name, one in commands.items())]
        lines += ["", "evenly COMMAND --help says more of one; evenly --version prints the version;"]
        lines += ["evenly --install-completion completes names with the tab key."]
        formatter.write("\n".join([*lines, ""]))


PROMISE = "Keep fewer training rows without losing coverage, and measure whether it pays."

SETTINGS: dict[str, Any] = {
    "pretty_exceptions_enable": False,
    "rich_markup_mode": "markdown",
    "context_settings": {"help_option_names": ["-h", "--help"]},
}

app = typer.Typer(cls=Commands, help=PROMISE, invoke_without_command=True, **SETTINGS)


def _version(asked: bool) -> None:
    if asked:
        from evenly import __version__

        typer.echo(f"evenly {__version__}")
        raise typer.Exit


@app.callback()
def evenly(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
