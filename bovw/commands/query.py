"""The query command: searches an index."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from bovw.commands.feedback import check_html, progress, say
from bovw.commands.options import (
    FOLDER,
    Region,
    expand_option,
    html_option,
    index_option,
    max_false_alarms_option,
    quiet_option,
    rerank_option,
    scoring_option,
)
from bovw.commands.skips import Skips
from bovw.compute.text import printable
from bovw.errors import BovwError
from bovw.options import SearchOptions

if TYPE_CHECKING:
    from bovw.feedback import OnSkip
    from bovw.records import Box, Features, Hit
    from bovw.results.formats import Answer
    from bovw.search import Searcher

# Exit code of --exit-code.
NOT_FOUND = 4
UNCALIBRATED = (
    "how much chance gives here was never measured, and is taken as usual: `bovw calibrate`"
)


@click.command()
@click.argument("images", nargs=-1, required=True, type=FOLDER, metavar="IMG...")
@index_option
@click.option("--topk", "-k", type=click.IntRange(min=1), default=20, show_default=True,
              help="Hits to print.")  # fmt: skip
@click.option("--region", type=Region(), help="Look only for this part of the image, in pixels.")
@scoring_option
@rerank_option
@expand_option
@click.option("--no-rerank", is_flag=True, help="The same as --rerank 0.")
@max_false_alarms_option
@click.option("--second-look", is_flag=True,
              help="Read up to 5 doubtful images again and compare them better.")  # fmt: skip
@click.option("--verified", is_flag=True, help="Only confirmed hits.")
@click.option("--exit-code", is_flag=True, help=f"Exit with {NOT_FOUND} if nothing is confirmed.")
@click.option("--format", default="table", show_default=True, help="How hits are written.",
              type=click.Choice(["table", "json", "jsonl", "csv", "spreadsheet", "paths"])
              )  # fmt: skip
@html_option
@quiet_option
def query(
    images: tuple[Path, ...], index: Path, topk: int, region: Box | None, scoring: str,
    rerank: int, expand: int, no_rerank: bool, max_false_alarms: float, second_look: bool,
    verified: bool, exit_code: bool, format: str, html: Path | None, quiet: bool,
) -> None:  # fmt: skip
    """Find the indexed images that show what IMG shows.

    A match is sure, or likely. Look at other images where geometry agrees; the rest are only alike.

    Example: bovw query photo.jpg --region 100,50,400,300 --topk 5 --format json
    """
    from bovw.index import Index
    from bovw.results.formats import WRITERS
    from bovw.search import Searcher

    if region and len(images) > 1:
        raise click.UsageError("--region is a part of one image: give one IMG with it")
    check_html(html)
    options = SearchOptions(
        scoring=scoring,
        rerank=0 if no_rerank else rerank,
        expand=expand,
        max_false_alarms=max_false_alarms,
        second_look=second_look,
    )
    searcher = Searcher(Index.open(index), options)
    skips = Skips()
    answers: list[Answer] = []
    pages: list[_Asked] = []

    # Answers in a terminal are progress enough.
    silent = quiet or len(images) == 1 or sys.stdout.isatty()
    with progress(silent)(images, len(images), "Querying") as paths:
        keep = partial(_confirmed, topk, rerank, quiet) if verified else None
        asked = _ask(searcher, paths, region, topk, skips if len(images) > 1 else _refuse, keep)
        for text in WRITERS[format](_shown(asked, answers, pages if html else None)):
            click.echo(text, nl=False)
    if not answers:
        raise BovwError("none of these images can be used as a query")
    say(quiet or searcher.index.decoys is not None, UNCALIBRATED)
    if html:
        _write_page(html, searcher, pages)
    skips.leave()
    if exit_code and not any(hit.confirmed for answer in answers for hit in answer.hits):
        click.get_current_context().exit(NOT_FOUND)


class _Asked(NamedTuple):
    """One query and its hits."""

    path: Path
    features: Features
    region: Box
    hits: list[Hit]


def _ask(
    searcher: Searcher, paths: Iterable[Path], region: Box | None, topk: int, on_skip: OnSkip,
    keep: Callable[[_Asked], _Asked] | None,
) -> Iterator[_Asked]:  # fmt: skip
    """Search with each picture; those that cannot be used are skipped.

    keep  chooses from all hits that may be confirmed, instead of the first `topk`
    """
    from bovw.errors import ImageError, QueryError
    from bovw.search import describe_query

    most = max(topk, searcher.options.rerank) if keep else topk
    for path in paths:
        try:
            features, part = describe_query(path, region, options=searcher.feature_options)
            one = _Asked(path, features, part, searcher.search_features(features, part, most))
            yield keep(one) if keep else one
        except (ImageError, QueryError) as error:
            on_skip(str(path), str(error))


def _confirmed(topk: int, rerank: int, quiet: bool, one: _Asked) -> _Asked:
    """Keep the `topk` best confirmed hits, and say what that leaves out."""
    hits = [hit for hit in one.hits if hit.confirmed]
    path = printable(str(one.path))
    if len(hits) > topk:
        say(quiet, f"{path}: {topk} of {len(hits)} matches; --topk {len(hits)} gives all")
    if hits and len(hits) == rerank:
        say(quiet, f"{path}: all {rerank} images that were checked match; --rerank checks more")
    return one._replace(hits=hits[:topk])


def _shown(
    asked: Iterable[_Asked], answers: list[Answer], pages: list[_Asked] | None
) -> Iterator[Answer]:
    """Yield each answer once it is there, and gather it; `pages` if there will be a page."""
    from bovw.results.formats import Answer

    for one in asked:
        answers.append(Answer(str(one.path), one.hits))
        if pages is not None:
            pages.append(one)
        yield answers[-1]


def _write_page(html: Path, searcher: Searcher, pages: list[_Asked]) -> None:
    # Imported here, so that queries without a page do not wait for it.
    from bovw.report import answer_page, with_points
    from bovw.results.files import write_output

    write_output(html, answer_page([with_points(searcher, *one) for one in pages]))


def _refuse(name: str, reason: str) -> None:
    """End the run, because a single query cannot be skipped."""
    raise BovwError(f"{name}: {reason}")


COMMANDS = (query,)
