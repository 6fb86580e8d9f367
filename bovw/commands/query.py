"""The commands that ask an index: query, eval and info."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from bovw.commands.feedback import NO_VOCABULARY, find_vocabulary, progress, say
from bovw.commands.options import (
    DEFAULT_INDEX,
    FOLDER,
    Region,
    expand_option,
    html_option,
    index_option,
    jobs_option,
    quiet_option,
    rerank_option,
    scoring_option,
)
from bovw.commands.skips import Skips
from bovw.errors import BovwError, UsageError
from bovw.options import SearchOptions

if TYPE_CHECKING:
    from bovw.index import Index
    from bovw.records import Box


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
@click.option("--verified", is_flag=True, help="Only hits that geometry confirms.")
@click.option("--format", default="table", show_default=True, help="How hits are written.",
              type=click.Choice(["table", "json", "jsonl", "csv", "paths"]))  # fmt: skip
@html_option
@quiet_option
def query(
    images: tuple[Path, ...], index: Path, topk: int, region: Box | None, scoring: str,
    rerank: int, expand: int, no_rerank: bool, verified: bool, format: str, html: Path | None,
    quiet: bool,
) -> None:  # fmt: skip
    """Find the indexed images that show what IMG shows.

    Hits with inliers are confirmed by geometry; the others only share visual words.

    Example: bovw query photo.jpg --region 100,50,400,300 --topk 5 --format json
    """
    from bovw.errors import ImageError, QueryError
    from bovw.features.sift import describe_query
    from bovw.index import Index
    from bovw.results.formats import WRITERS, Answer
    from bovw.search.searcher import Searcher

    if region and len(images) > 1:
        raise click.UsageError("--region is a part of one image: give one IMG with it")
    _check_html(html)
    options = SearchOptions(scoring=scoring, rerank=0 if no_rerank else rerank, expand=expand)
    searcher = Searcher(Index.open(index), options)
    skips = Skips()
    answers, asked = [], []
    with progress(quiet or len(images) == 1)(images, len(images), "Querying") as paths:
        for path in paths:
            try:
                features, part = describe_query(path, region, options=searcher.feature_options)
                hits = searcher.search_features(features, part, topk)
                kept = [hit for hit in hits if hit.verified or not verified]
                answers.append(Answer(str(path), kept))
                if html:
                    asked.append((path, features, part, kept))
            except (ImageError, QueryError) as error:
                if len(images) == 1:
                    raise BovwError(f"{path}: {error}") from error
                skips(str(path), str(error))
    click.echo(WRITERS[format](answers), nl=False)
    if not answers:
        raise BovwError("not one of the images can be used as a query")
    if html:
        # Imported here, because every other query would wait for it.
        from bovw.report import answer_page, with_points
        from bovw.results.files import write_output

        write_output(html, answer_page([with_points(searcher, *one) for one in asked]))
    skips.leave()


@click.command("eval")
@click.argument("dataset")
@click.option("--images", type=FOLDER, required=True, help="The folder that holds the pictures.")
@click.option("--truth", type=FOLDER, help="Ground truth file or folder.  [default: looked for in "
                                           "and beside the images]")  # fmt: skip
@click.option("--index", type=FOLDER, envvar="BOVW_INDEX",
              help="An index of the data set; made where there is none.  [default: bovw-index "
                   "where it fits, else a folder in bovw-eval]")  # fmt: skip
@click.option("--vocab", type=FOLDER, envvar="BOVW_VOCAB",
              help="A vocabulary to index with.  [default: bovw-vocab where there is one, else one "
                   "is trained on the data set and called own]")  # fmt: skip
@scoring_option
@rerank_option
@expand_option
@click.option("--ap", type=click.Choice(["official", "rectangle"]), default="official",
              show_default=True, help="Form of average precision.")  # fmt: skip
@click.option("--query-mode", type=click.Choice(["keypoints", "crop"]),
              help="Use a region's keypoints or its pixels.  [default: the set's]")  # fmt: skip
@click.option("--format", type=click.Choice(["table", "json"]), default="table",
              show_default=True, help="How figures are written.")  # fmt: skip
@click.option("--run", type=FOLDER, help="Write the rankings as a TREC run.")
@html_option
@click.option("--ablation", is_flag=True,
              help="Measure all methods, from TF-IDF to the default, in one table.")  # fmt: skip
@jobs_option
@quiet_option
def evaluate_dataset(
    dataset: str, images: Path, truth: Path | None, index: Path | None, vocab: Path | None,
    scoring: str, rerank: int, expand: int, ap: Any, query_mode: str | None, format: str,
    run: Path | None, html: Path | None, ablation: bool, jobs: int | None, quiet: bool,
) -> None:  # fmt: skip
    """Measure retrieval on oxford5k, paris6k, roxford5k, rparis6k, holidays, ukbench or a .json.

    The index is made where it is missing, and kept for the next run.

    Example: bovw eval oxford5k --images oxbuild_images --truth gt_files
    """
    from bovw.evaluation.ablation import as_markdown, climb
    from bovw.evaluation.datasets import load
    from bovw.evaluation.results import as_text
    from bovw.evaluation.run import evaluate
    from bovw.results.formats import Answer, as_trec
    from bovw.search.searcher import Searcher

    if html and ablation:
        raise UsageError("--html shows one method, --ablation measures all: give one of the two")
    _check_html(html)
    loaded = load(dataset, images, truth)
    skips = Skips()
    opened = _dataset_index(loaded, images, index, vocab, jobs, quiet, skips)
    if ablation:
        rungs = list(climb(loaded, images, opened, ap, query_mode, progress(quiet)))
        content = {"dataset": loaded.name, "rungs": [vars(rung) for rung in rungs]}
        text = json.dumps(content, indent=1) if format == "json" else as_markdown(rungs)
        click.echo(text.rstrip("\n"))
        skips.leave()
        return
    searcher = Searcher(opened, SearchOptions(scoring=scoring, rerank=rerank, expand=expand))
    result = evaluate(loaded, images, searcher, ap, query_mode, progress(quiet))
    for outcome in result.outcomes:
        if outcome.failure:
            skips(outcome.query.id, outcome.failure)
    if run:
        answers = [Answer(outcome.query.id, outcome.hits) for outcome in result.outcomes]
        run.write_text(as_trec(answers), encoding="utf-8")
    if html:
        from bovw.report import evaluation_page
        from bovw.results.files import write_output

        write_output(html, evaluation_page(result, images))
    text = json.dumps(result.report(), indent=1) if format == "json" else as_text(result)
    click.echo(text.rstrip("\n"))
    skips.leave()


def _check_html(html: Path | None) -> None:
    """Refuse a file that could not be written, before the work is done."""
    from bovw.results.files import check_output

    if html:
        check_output(html, ".html", ".htm")


def _dataset_index(
    loaded: Any, images: Path, index: Path | None, vocab: Path | None, jobs: int | None,
    quiet: bool, skips: Skips,
) -> Index:  # fmt: skip
    """Open the index of a data set, made first where there is none."""
    from bovw.evaluation.database import database_files, find_index
    from bovw.index.sharded import is_index
    from bovw.ingest.build import build_index

    # An index that is there has its own vocabulary, and only one given beside it has to fit.
    given = click.get_current_context().get_parameter_source("vocab") is ParameterSource.COMMANDLINE
    needed = given or not (index and is_index(index))
    vocabulary = find_vocabulary(vocab, quiet) if needed else None
    folder, found = find_index(loaded, images, index, DEFAULT_INDEX, vocabulary)
    if found:
        say(quiet, f"using the index in {folder}")
        return found
    say(quiet, f"indexing {len(loaded.database):,} images into {folder}")
    say(quiet or vocabulary is not None, NO_VOCABULARY)
    files = database_files(loaded, images)
    return build_index(
        files, folder, vocabulary, jobs=jobs, progress=progress(quiet), on_skip=skips
    )


@click.command()
@click.argument("folder", type=FOLDER, metavar="INDEX_OR_VOCAB")
@click.option("--format", type=click.Choice(["table", "json"]), default="table",
              show_default=True, help="How figures are written.")  # fmt: skip
def info(folder: Path, format: str) -> None:
    """Show what an index or a vocabulary holds, and whether its checksums hold.

    Example: bovw info bovw-index --format json
    """
    from bovw.report.contents import as_text, describe_folder

    content = describe_folder(folder)
    click.echo(json.dumps(content, indent=1) if format == "json" else as_text(content))
    if content["damaged"]:
        again = "make it again with `bovw build-vocab`"
        repair = "`bovw check --repair` takes out what it can"
        advice = repair if content["kind"] == "index" else again
        raise BovwError(f"{len(content['damaged'])} damaged files: {advice}")


COMMANDS = (query, evaluate_dataset, info)
