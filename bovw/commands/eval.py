"""The eval command: measures retrieval on a data set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from bovw.commands.feedback import NO_VOCABULARY, check_html, find_vocabulary, progress, say
from bovw.commands.options import (
    DEFAULT_INDEX,
    FOLDER,
    expand_option,
    html_option,
    jobs_option,
    quiet_option,
    rerank_option,
    scoring_option,
)
from bovw.commands.skips import Skips
from bovw.errors import UsageError
from bovw.options import SearchOptions

if TYPE_CHECKING:
    from bovw.evaluation.datasets import Dataset
    from bovw.evaluation.results import Evaluation
    from bovw.index import Index
    from bovw.ingest.run import Run


@click.command("eval")
@click.argument("dataset")
@click.option("--images", type=FOLDER, required=True, help="The folder that holds the pictures.")
@click.option("--truth", type=FOLDER, help="Ground truth file or folder.  [default: looked for in "
                                           "and beside the images]")  # fmt: skip
@click.option("--index", type=FOLDER, envvar="BOVW_INDEX",
              help="The data set's index; made if it is missing.  [default: bovw-index if it "
                   "fits, else a folder in bovw-eval]")  # fmt: skip
@click.option("--vocab", type=FOLDER, envvar="BOVW_VOCAB",
              help="A vocabulary to index with.  [default: bovw-vocab if it exists, else one "
                   "trained on the data set, reported as own]")  # fmt: skip
@scoring_option
@rerank_option
@expand_option
@click.option("--ap", type=click.Choice(["official", "rectangle"]), default="official",
              show_default=True, help="Form of average precision.")  # fmt: skip
@click.option("--query-mode", type=click.Choice(["keypoints", "crop"]),
              help="Use a region's keypoints or pixels.  [default: the data set's]")  # fmt: skip
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

    A missing index is made, and kept for the next run.

    Example: bovw eval oxford5k --images oxbuild_images --truth gt_files
    """
    from bovw.evaluation.ablation import as_markdown, run_ablation
    from bovw.evaluation.datasets import load
    from bovw.evaluation.results import as_text
    from bovw.evaluation.run import evaluate
    from bovw.ingest.run import Run
    from bovw.results.files import check_output
    from bovw.search import Searcher

    if html and ablation:
        raise UsageError("--html shows one method, --ablation measures all: give one of the two")
    check_html(html)
    if run:
        check_output(run, "", ".run", ".txt", ".trec")
    loaded = load(dataset, images, truth)
    skips = Skips()
    how = Run(jobs, progress(quiet), skips)
    opened = _dataset_index(loaded, images, index, vocab, how, quiet)
    if ablation:
        rows = list(run_ablation(loaded, images, opened, ap, query_mode, progress(quiet)))
        content = {"dataset": loaded.name, "rungs": [vars(row) for row in rows]}
        _print(format, lambda: content, lambda: as_markdown(rows))
        skips.leave()
        return
    searcher = Searcher(opened, SearchOptions(scoring=scoring, rerank=rerank, expand=expand))
    result = evaluate(loaded, images, searcher, ap, query_mode, progress(quiet))
    for outcome in result.outcomes:
        if outcome.failure:
            skips(outcome.query.id, outcome.failure)
    _write_files(result, images, run, html)
    _print(format, result.report, lambda: as_text(result))
    skips.leave()


def _print(format: str, content: Callable[[], dict[str, Any]], text: Callable[[], str]) -> None:
    """Print the results as JSON or as text."""
    click.echo(json.dumps(content(), indent=1) if format == "json" else text().rstrip("\n"))


def _write_files(result: Evaluation, images: Path, run: Path | None, html: Path | None) -> None:
    """Write the TREC run and the HTML page, if asked for."""
    from bovw.results.files import write_output

    if run:
        from bovw.results.formats import Answer, as_trec

        answers = [Answer(outcome.query.id, outcome.hits) for outcome in result.outcomes]
        write_output(run, as_trec(answers).encode())
    if html:
        from bovw.report import evaluation_page

        write_output(html, evaluation_page(result, images))


def _dataset_index(
    loaded: Dataset, images: Path, index: Path | None, vocab: Path | None, run: Run, quiet: bool
) -> Index:
    """Open the index of a data set; build it first if it is missing."""
    from bovw.evaluation.database import database_files, find_index
    from bovw.index import is_index
    from bovw.ingest.build import build_index
    from bovw.ingest.run import Recipe

    # An existing index has its own vocabulary; only one from the command line has to match it.
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
    return build_index(files, folder, Recipe(vocabulary), run)


COMMANDS = (evaluate_dataset,)
