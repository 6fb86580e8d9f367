"""The command line: parse, call, print. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from bovw import __version__
from bovw.commands import FAMILIES
from bovw.compute.text import one_line
from bovw.errors import BovwError

# Everything heavier than click is imported by the command that uses it, so that --help is instant.


class Commands(click.Group):
    """Turns errors into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; no traceback reaches a user unless BOVW_DEBUG is set."""
        # File names are bytes: bytes that are not UTF-8 are printed unchanged.
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(encoding="utf-8", errors="surrogateescape")
        try:
            return super().invoke(ctx)
        except BovwError as error:
            raise _failure(str(error), error.exit_code) from error
        except click.ClickException as error:
            setattr(error, "message", one_line(error.message))  # noqa: B010 - it may quote a name
            raise
        except (click.exceptions.Exit, click.Abort, BrokenPipeError):
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
    failure = click.ClickException(one_line(" ".join(message.splitlines())))
    setattr(failure, "exit_code", exit_code)  # noqa: B010 - click declares it for the class
    return failure


@click.group(
    cls=Commands,
    context_settings={"auto_envvar_prefix": "BOVW", "help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Find the same thing in photographs, and where it is in them.

    \b
    bovw index PHOTOS           makes an index of a folder, once
    bovw query IMG --topk 20    finds images that show the same thing
    bovw demo                   shows it all on drawn pictures

    Every option can also be set in the environment, like BOVW_QUERY_TOPK=3.
    """  # noqa: D301 - click's mark for lines to keep must be the character itself


for family in FAMILIES:
    for command in family.COMMANDS:
        cli.add_command(command)
