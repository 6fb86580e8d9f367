"""The commands that show: an index's contents, the match of two pictures, why a hit is one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bovw.commands.options import (
    FOLDER,
    Region,
    index_option,
    max_false_alarms_option,
    rerank_option,
    scoring_option,
)
from bovw.compute.text import printable
from bovw.errors import BovwError, UsageError
from bovw.options import FeatureOptions

if TYPE_CHECKING:
    from bovw.records import Box, Features
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
    found = match_pair(_features(a)[0], _features(b)[0])
    if out:
        drawn = draw_pair(a, b, found.points, found.box) if found else draw_pair(a, b)
        write_output(out, as_png(drawn))
    click.echo(_as_json(a, b, found) if format == "json" else _as_text(a, b, found))


def _features(
    path: Path, region: Box | None = None, options: FeatureOptions = FeatureOptions()
) -> tuple[Features, Box]:
    from bovw.errors import ImageError
    from bovw.search.query import describe_query

    try:
        return describe_query(path, region, options=options)
    except ImageError as error:
        raise BovwError(f"{path}: {error}") from error


def _as_text(a: Path, b: Path, found: Agreement | None) -> str:
    first, second = printable(str(a)), printable(str(b))
    if not found:
        return f"no match between {first} and {second}"
    rows = (" ".join(f"{value:12.6g}" for value in row) for row in found.transform)
    corners = "  ".join(f"{x:.0f},{y:.0f}" for x, y in found.box)
    verb = "show" if found.confirmed else "may show"
    return (
        f"{first} and {second} {verb} the same thing: {found.evidence.inliers} inliers, "
        f"probability {min(found.probability, 0.999):.3f}\n"
        f"the corners of the first lie in the second at  {corners}\n"
        "transform, pixels of the first to pixels of the second:\n" + "\n".join(rows)
    )


def _as_json(a: Path, b: Path, found: Agreement | None) -> str:
    content = {
        "a": str(a),
        "b": str(b),
        "probability": found.probability if found else 0.0,
        "false_alarms": found.false_alarms if found else None,
        "confirmed": bool(found and found.confirmed),
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


@click.command()
@click.argument("query", type=FOLDER)
@click.argument("name", metavar="NAME")
@index_option
@click.option("--region", type=Region(), help="Look only for this part of the query, in pixels.")
@scoring_option
@rerank_option
@max_false_alarms_option
@click.option("--out", type=FOLDER, help="Draw both pictures and their matching points, as a .png.")
@click.option("--format", type=click.Choice(["table", "json"]), default="table",
              show_default=True, help="How the answer is written.")  # fmt: skip
def explain(
    query: Path, name: str, index: Path, region: Box | None, scoring: str, rerank: int,
    max_false_alarms: float, out: Path | None, format: str,
) -> None:  # fmt: skip
    """Explain why a QUERY finds the image NAME, or does not.

    NAME is as `bovw list` shows it.

    Example: bovw explain photo.jpg rome/forum_1.jpg --out why.png
    """
    from bovw.geometry import warp_box
    from bovw.index import Index
    from bovw.options import SearchOptions
    from bovw.report.drawing import as_png, draw_pair
    from bovw.report.explanation import as_json, as_text
    from bovw.results.files import check_output, write_output
    from bovw.search import Searcher
    from bovw.search.explain import explain as explain_image

    if out:
        check_output(out, ".png")
    options = SearchOptions(scoring=scoring, rerank=rerank, max_false_alarms=max_false_alarms)
    searcher = Searcher(Index.open(index), options)
    image = searcher.index.names.find(name)
    if image is None:
        raise BovwError(f"{index} has no {name}: see `bovw list`")
    features, part = _features(query, region, searcher.feature_options)
    found = explain_image(searcher, features, part, image)
    if out:
        box = None if found.transform is None else warp_box(found.transform, part)
        drawn = draw_pair(query, searcher.index.path(image), found.points, box)
        write_output(out, as_png(drawn))
    click.echo((as_json if format == "json" else as_text)(str(query), name, found))


COMMANDS = (info, matches, explain)
