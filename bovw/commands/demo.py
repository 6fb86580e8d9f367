"""The demo command: every step on drawn pictures."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bovw.commands.feedback import say
from bovw.commands.options import FOLDER


@click.command()
@click.option("--out", type=FOLDER, default=Path("bovw-demo"), show_default=True,
              help="The folder to write.")  # fmt: skip
@click.pass_context
def demo(context: click.Context, out: Path) -> None:
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
        context.find_root().command.main(command, standalone_mode=False)
    click.echo(
        f"\nNow your own: bovw index YOUR_PHOTOS, then bovw query IMG. Pictures are in {out}.\n"
        f"The command is {Path(sys.argv[0]).absolute()}"
    )


COMMANDS = (demo,)
