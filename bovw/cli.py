"""The command line: parse, call, print. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from bovw import __version__
from bovw.commands.feedback import say
from bovw.commands.index import COMMANDS as INDEXING
from bovw.commands.matches import COMMANDS as SHOWING
from bovw.commands.options import FOLDER
from bovw.commands.plan import COMMANDS as PLANNING
from bovw.commands.query import COMMANDS as ASKING
from bovw.commands.serve import COMMANDS as SERVING
from bovw.errors import BovwError

# Everything heavier than click is imported by the command that uses it, so that --help is instant.


class Commands(click.Group):
    """Turns errors into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; no traceback reaches a user unless BOVW_DEBUG is set."""
        # File names are bytes: those that are not UTF-8 are printed as they are.
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(encoding="utf-8", errors="surrogateescape")
        try:
            return super().invoke(ctx)
        except BovwError as error:
            raise _failure(str(error), error.exit_code) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except MemoryError as error:
            raise _failure(
                "out of memory: try fewer --jobs or a lower --max-descriptors"
            ) from error
        except OSError as error:
            raise _failure(f"{error.filename or 'the disk'}: {error.strerror or error}") from error
        except Exception as error:
            if os.environ.get("BOVW_DEBUG"):
                raise
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            raise _failure(
                f"unexpected {text}; please report it (BOVW_DEBUG=1 shows where)"
            ) from error


def _failure(message: str, exit_code: int = 1) -> click.ClickException:
    failure = click.ClickException(" ".join(message.splitlines()))
    setattr(failure, "exit_code", exit_code)  # noqa: B010 - click declares it for the class
    return failure


@click.group(
    cls=Commands,
    context_settings={"auto_envvar_prefix": "BOVW", "help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Find the same thing in photographs, and where in them it is.

    \b
    bovw index PHOTOS           makes an index of a folder, once
    bovw query IMG --topk 20    finds images that show the same thing
    bovw demo                   shows it all on drawn pictures

    Every option can be given in the environment, like BOVW_QUERY_TOPK=3.
    """  # noqa: D301 - click's mark for lines to keep must be the character itself


for command in (*INDEXING, *ASKING, *SHOWING, *SERVING, *PLANNING):
    cli.add_command(command)


@cli.command()
@click.option("--out", type=FOLDER, default=Path("bovw-demo"), show_default=True,
              help="The folder to write.")  # fmt: skip
def demo(out: Path) -> None:
    """Draw a small collection, then train, index, query and evaluate on it.

    Example: bovw demo --out bovw-demo
    """
    from bovw.demo.scenes import write_collection

    say(False, f"drawing pictures into {out}")
    made = write_collection(out)
    vocab, index, db = str(out / "vocab"), str(out / "index"), str(made.database)
    picture = str(out / "queries" / "scene_03.jpg")
    for command in (
        ["build-vocab", db, "--out", vocab, "--words", "4096"],
        ["index", db, "--index", index, "--vocab", vocab],
        ["query", picture, "--index", index, "--topk", "6"],
        ["eval", str(made.truth), "--images", str(out), "--index", index],
    ):
        click.echo(f"\n$ bovw {' '.join(command)}")
        cli.main(command, standalone_mode=False)
    click.echo(
        f"\nNow your own: bovw index YOUR_PHOTOS, then bovw query IMG. Pictures are in {out}.\n"
        f"The command is {Path(sys.argv[0]).absolute()}"
    )
