"""The `fundusrt` command.

Exit codes: 0 all done, 1 some inputs failed, 2 usage, 3 bundle or backend refused.
Each command lives in a file of its own and is imported when it is called; training and export add theirs through the
entry-point group `fundusrt.commands`.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module, metadata

import click

from fundusrt import __version__
from fundusrt.errors import BackendUnavailable, BundleError, FundusRTError, UsageError

__all__ = ["EXIT_FAILED", "EXIT_REFUSED", "EXIT_USAGE", "exit_code", "main"]

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3

_OWN = {name: f"fundusrt.commands.{name}" for name in ("bench", "demo", "doctor", "inspect", "run", "tune", "verify")}
_GROUP = "fundusrt.commands"
_EXTRA = {"degrade": "train", "evaluate": "train", "export": "export", "generate": "train", "train": "train"}


def exit_code(error: FundusRTError) -> int:
    """Return the exit code that stands for an error."""
    if isinstance(error, BundleError | BackendUnavailable):
        return EXIT_REFUSED
    return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED


class _Commands(click.Group):
    """Own commands first, then those other packages registered."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        plugins = {entry.name for entry in metadata.entry_points(group=_GROUP)}
        return sorted({*_OWN, *plugins})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _OWN:
            return getattr(import_module(_OWN[cmd_name]), cmd_name)
        for entry in metadata.entry_points(group=_GROUP, name=cmd_name):
            try:
                return entry.load()
            except ModuleNotFoundError as error:
                return _missing(cmd_name, error)
        return None

    def invoke(self, ctx: click.Context) -> object:
        as_json = "--json" in ctx.args  # looked for here, for the errors of click's own parser
        try:
            try:
                return super().invoke(ctx)
            except ModuleNotFoundError as error:
                # A command imports what it needs when it runs; its extra may not be installed.
                if ctx.invoked_subcommand not in _EXTRA or (error.name or "").startswith("fundusrt"):
                    raise
                raise _not_installed(str(ctx.invoked_subcommand), error) from error
        except FundusRTError as error:
            if as_json:
                _print_document(error)
            click.echo(f"error: {error}", err=True)
            sys.exit(exit_code(error))
        except click.UsageError as error:
            if as_json:
                command = " ".join(filter(None, (ctx.command_path, ctx.invoked_subcommand)))
                got, fix = error.format_message(), f"see `{command} --help`"
                _print_document(UsageError(command, got=got, expected="options and arguments it knows", fix=fix))
            raise


def _print_document(error: FundusRTError) -> None:
    click.echo(json.dumps({"error": error.to_dict()}, indent=2))


def _not_installed(name: str, error: ModuleNotFoundError) -> BackendUnavailable:
    extra = _EXTRA.get(name, name)
    return BackendUnavailable(
        f"command {name!r}",
        got=f"no module named {error.name!r}",
        expected=f"the {extra!r} extra",
        fix=f'pip install "fundusrt[{extra}]"',
    )


def _missing(name: str, error: ModuleNotFoundError) -> click.Command:
    """A command whose packages are not installed still lists, and says how to get it."""
    extra = _EXTRA.get(name, name)
    fix = f'pip install "fundusrt[{extra}]"'

    @click.command(
        name,
        short_help=f"Not installed: {fix}",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def refuse() -> None:
        raise _not_installed(name, error)

    return refuse


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fundusrt")
def main() -> None:
    """Train, export and deploy retinal-image networks."""


if __name__ == "__main__":
    main()
