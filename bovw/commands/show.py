"""The commands info and matches: an index's contents, and the match of two pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bovw.commands.options import FOLDER
from bovw.errors import BovwError, UsageError

if TYPE_CHECKING:
    from bovw.records import Features
    from bovw.search.pair import Agreement


@click.command()
@click.argument("a", type=FOLDER)
@click.argument("b", type=FOLDER)
@click.option("--out", type=FOLDER, help="Draw both pictures and their matching points, as a .png.")
@click.option("--format", type=click.Choice(["table", "json"]), default="table",
              show_default=True, help="How the answer is written.")  # fmt: skip
def matches(a: Path, b: Path, out: Path | None, format: str) -> None:
    """Tell whether the photographs A and B show the same thing, and where A is in B.

    Needs no index.

    Example: bovw matches photo.jpg scan.jpg --out matches.png
    """
    from bovw.report.drawing import as_png, draw_pair
    from bovw.results.files import check_output, write_output
    from bovw.search.pair import match_pair

    if out:
        check_output(out, ".png")
        if out.resolve() in (a.resolve(), b.resolve()):
            raise UsageError(f"{out} is one of the two pictures: give --out another name")
    found = match_pair(_features(a), _features(b))
    if out:
        drawn = draw_pair(a, b, found.points, found.box) if found else draw_pair(a, b)
        write_output(out, as_png(drawn))
    click.echo(_as_json(a, b, found) if format == "json" else _as_text(a, b, found))


def _features(path: Path) -> Features:
    from bovw.errors import ImageError
    from bovw.search.query import describe_query

    try:
        return describe_query(path)[0]
    except ImageError as error:
        raise BovwError(f"{path}: {error}") from error


def _as_text(a: Path, b: Path, found: Agreement | None) -> str:
    from bovw.results.formats import printable

    first, second = printable(str(a)), printable(str(b))
    if not found:
        return f"no match between {first} and {second}"
    rows = (" ".join(f"{value:12.6g}" for value in row) for row in found.transform)
    corners = "  ".join(f"{x:.0f},{y:.0f}" for x, y in found.box)
    return (
        f"{first} and {second} show the same thing: {found.evidence.inliers} inliers\n"
        f"the corners of the first lie in the second at  {corners}\n"
        "transform, pixels of the first to pixels of the second:\n" + "\n".join(rows)
    )


def _as_json(a: Path, b: Path, found: Agreement | None) -> str:
    content = {
        "a": str(a),
        "b": str(b),
        "inliers": found.evidence.inliers if found else 0,
        "transform": found.transform.tolist() if found else None,
        "box": found.box.tolist() if found else None,
        "points": found.points.tolist() if found else [],
    }
    return json.dumps(content, indent=1)


@click.command()
@click.argument("folder", type=FOLDER, metavar="INDEX_OR_VOCAB")
@click.option("--format", type=click.Choice(["table", "json"]), default="table",
              show_default=True, help="How figures are written.")  # fmt: skip
def info(folder: Path, format: str) -> None:
    """Show the contents of an index or a vocabulary, and check its checksums.

    Example: bovw info bovw-index --format json
    """
    from bovw.report.contents import as_text, describe_folder

    content = describe_folder(folder)
    click.echo(json.dumps(content, indent=1) if format == "json" else as_text(content))
    if content["damaged"]:
        again = "make it again with `bovw build-vocab`"
        repair = "`bovw check --repair` removes what it can"
        advice = repair if content["kind"] == "index" else again
        raise BovwError(f"{len(content['damaged'])} damaged files: {advice}")


COMMANDS = (info, matches)
