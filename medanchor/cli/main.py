"""The command `medanchor`: its commands, and the one place where errors become exit codes."""

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from medanchor import __version__
from medanchor.cli import anchor, audit, chain, doctor, init, key, log, proof, stamp, status, verify, wallet
from medanchor.cli.output import tell_error
from medanchor.cli.plain import convert_plainly
from medanchor.errors import MedanchorError, UsageError

EPILOG = (
    "Exit codes: 0 done, verified; 2 usage; 3 pending, or nothing outside the proof confirms the block; 4 changed,"
    " missing or forged; 5 vault; 6 chain; 7 wallet; 8 never stamped; 9 some inputs could not be read; 130 interrupted;"
    " 141 whoever read the output went away."
)


class Commands(TyperGroup):
    """Runs a command and turns the errors that medanchor raises into messages and exit codes."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - Typer's own signature
        """Return the command called `cmd_name`, with its plain parameters converted quickly."""
        command = super().get_command(ctx, cmd_name)
        convert_plainly(command.get_params(ctx) if command else [])
        return command

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - as above
        """Read the arguments before the command's name; the options there are converted quickly too."""
        convert_plainly(self.get_params(ctx))
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - Typer's own signature
        """Run the command that `ctx` names; what goes wrong is told here, once, for all commands."""
        as_json = "--json" in (*getattr(ctx, "_protected_args", ()), *ctx.args)
        try:
            return super().invoke(ctx)
        except MedanchorError as error:
            told = error
        except OSError as error:
            named = error.filename if isinstance(error.filename, str) else "a file"
            told = UsageError(
                f"cannot use {named}: {(error.strerror or str(error)).lower()}",
                hint="is it there, may you use it, and has its disk space left?",
            )
        except Exception as error:
            if not (as_json and hasattr(error, "format_message")):
                raise  # the library's own usage errors are told by the library, unless a script asked
            told = UsageError(error.format_message())
        tell_error(told, as_json=as_json)
        raise typer.Exit(told.exit_code)


app = typer.Typer(
    cls=Commands,
    name="medanchor",
    help="Notarise medical records on Bitcoin; nothing about a patient ever leaves this machine.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

app.command()(init.init)
app.command()(stamp.stamp)
app.command()(anchor.anchor)
app.command()(verify.verify)
app.command()(status.status)
app.add_typer(proof.app, name="proof")
app.command()(log.log)
app.command()(audit.audit)
app.add_typer(key.app, name="key")
app.add_typer(chain.app, name="chain")
app.add_typer(wallet.app, name="wallet")
app.command()(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"medanchor {__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")]


@app.callback()
def _options(version: Version = False) -> None:
    """Notarise medical records on Bitcoin; nothing about a patient ever leaves this machine."""


def main() -> None:
    """Run the command line."""
    _open_standard_streams()
    app(prog_name="medanchor")


def _open_standard_streams() -> None:
    """Put something in place of a standard stream that is closed, as under some daemons.

    Or the next file opened would get its number, and what a library prints would end up in a vault.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_WRONLY)  # the lowest free number; reading it is an error, not an empty record
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115 - for good
