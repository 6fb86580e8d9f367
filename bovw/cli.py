"""The command line: parse, call, print. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from bovw import __version__
from bovw.cli_options import (
    DEFAULT_INDEX,
    DEFAULT_VOCAB,
    FOLDER,
    Region,
    expand_option,
    feature_options,
    index_option,
    jobs_option,
    quiet_option,
    rerank_option,
    scoring_option,
    training_options,
)
from bovw.cli_skips import Skips
from bovw.errors import BovwError
from bovw.options import FeatureOptions, SearchOptions, VocabularyOptions

if TYPE_CHECKING:
    from bovw.index import Index
    from bovw.parallel import Progress
    from bovw.records import Box
    from bovw.vocab import Vocabulary

# Everything heavier than click is imported by the command that uses it, so that --help is instant.

NO_VOCABULARY = "no vocabulary given: training one on these images"


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


def _say(quiet: bool, text: str) -> None:
    if text and not quiet:
        click.echo(text, err=True)


def _progress(quiet: bool) -> Progress:
    from bovw.parallel import silent

    def bar(results: Iterable[Any], length: int, label: str) -> AbstractContextManager[Any]:
        return click.progressbar(results, length=length, label=label, file=sys.stderr)

    return silent if quiet or not sys.stderr.isatty() else bar


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


@cli.command("build-vocab")
@click.argument("folders", nargs=-1, required=True, type=FOLDER, metavar="DIR...")
@click.option("--out", type=FOLDER, default=DEFAULT_VOCAB, show_default=True, envvar="BOVW_VOCAB",
              help="The folder to write.")  # fmt: skip
@training_options
@feature_options
@jobs_option
@quiet_option
def build_vocab(
    folders: tuple[Path, ...], out: Path, words: int, seed: int, max_descriptors: int, bits: int,
    max_features: int, max_size: int, upright: bool, exclude: tuple[str, ...], jobs: int | None,
    quiet: bool,
) -> None:  # fmt: skip
    """Train a vocabulary of visual words on images.

    Example: bovw build-vocab photos --out bovw-vocab --words 65536
    """
    from bovw.build import build_vocabulary, training_bytes
    from bovw.images import find_images
    from bovw.vocab.store import check_target

    check_target(out)
    skips = Skips()
    images = find_images(folders, exclude, skips.folder, skips.other)
    _say(quiet, skips.others())
    features = FeatureOptions(max_size=max_size, max_features=max_features, upright=upright)
    options = VocabularyOptions(words, seed, max_descriptors, bits=bits)
    megabytes = training_bytes(options) / 1e6
    _say(quiet, f"{len(images)} images; training on {max_descriptors:,} descriptors at most, "
                f"up to {megabytes:,.0f} MB of memory")  # fmt: skip
    vocabulary = build_vocabulary(images, features, options, jobs, _progress(quiet), skips)
    if len(vocabulary.words) < words:
        used = vocabulary.settings["descriptors"]
        more = "raise --max-descriptors" if used >= max_descriptors else "give more images"
        click.echo(
            f"{words:,} words asked, {len(vocabulary.words):,} made: there were only {used:,} "
            f"descriptors; {more} for more words",
            err=True,
        )
    vocabulary.save(out)
    _say(quiet, f"{len(vocabulary.words):,} words written to {out}")
    skips.leave()


@cli.command("index")
@click.argument("folders", nargs=-1, required=True, type=FOLDER, metavar="DIR...")
@index_option
@click.option("--vocab", type=FOLDER, envvar="BOVW_VOCAB",
              help="A vocabulary's folder.  [default: bovw-vocab where there is one, else one is "
                   "trained on the same images]")  # fmt: skip
@feature_options
@jobs_option
@quiet_option
def make_index(
    folders: tuple[Path, ...], index: Path, vocab: Path | None, max_features: int, max_size: int,
    upright: bool, exclude: tuple[str, ...], jobs: int | None, quiet: bool,
) -> None:  # fmt: skip
    """Index images, so that queries find them. An index that is there is replaced at the end.

    Images are named by their path below the folder given.

    Example: bovw index photos --index bovw-index
    """
    from bovw.build import build_index
    from bovw.images import find_images

    skips = Skips()
    images = find_images(folders, exclude, skips.folder, skips.other)
    _say(quiet, skips.others())
    features = FeatureOptions(max_size=max_size, max_features=max_features, upright=upright)
    vocabulary = _vocabulary(vocab, quiet)
    _say(quiet or vocabulary is not None, NO_VOCABULARY)
    made = build_index(
        images, index, vocabulary, features, jobs=jobs, progress=_progress(quiet), on_skip=skips
    )
    size = sum(made.bytes().values())
    _say(quiet, f"{len(made):,} images, {made.features:,} features, {made.meta['words']:,} words, "
                f"{size / 1e6:,.1f} MB written to {index}")  # fmt: skip
    skips.leave()


@cli.command()
@index_option
@jobs_option
@quiet_option
def link(index: Path, jobs: int | None, quiet: bool) -> None:
    """Compare all indexed images with each other, once, so that queries find more.

    An image then also counts for how well its confirmed neighbours match the query. The images are
    read again. An index that is made anew has to be linked again.

    Example: bovw link --index bovw-index
    """
    from bovw.link import link_images

    skips = Skips()
    graph = link_images(index, jobs, _progress(quiet), skips)
    linked = int((graph.neighbours[:, 0] >= 0).sum())
    _say(quiet, f"{linked:,} of {len(graph.neighbours):,} images have neighbours")
    skips.leave()


def _vocabulary(vocab: Path | None, quiet: bool) -> Vocabulary | None:
    """Load the vocabulary asked for, or the one in its usual place, or none."""
    from bovw.vocab import Vocabulary

    if vocab is None and not DEFAULT_VOCAB.is_dir():
        return None
    loaded = Vocabulary.load(vocab or DEFAULT_VOCAB)
    _say(quiet, f"using the {len(loaded.words):,} words of {vocab or DEFAULT_VOCAB}")
    return loaded


@cli.command()
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
@quiet_option
def query(
    images: tuple[Path, ...], index: Path, topk: int, region: Box | None, scoring: str,
    rerank: int, expand: int, no_rerank: bool, verified: bool, format: str,
    quiet: bool,
) -> None:  # fmt: skip
    """Find the indexed images that show what IMG shows.

    Hits with inliers are confirmed by geometry; the others only share visual words.

    Example: bovw query photo.jpg --region 100,50,400,300 --topk 5 --format json
    """
    from bovw.errors import ImageError, QueryError
    from bovw.index import Index
    from bovw.results import WRITERS, Answer
    from bovw.search import Searcher

    if region and len(images) > 1:
        raise click.UsageError("--region is a part of one image: give one IMG with it")
    options = SearchOptions(scoring=scoring, rerank=0 if no_rerank else rerank, expand=expand)
    searcher = Searcher(Index.open(index), options)
    skips = Skips()
    answers = []
    with _progress(quiet or len(images) == 1)(images, len(images), "Querying") as paths:
        for path in paths:
            try:
                hits = searcher.search(path, topk, region)
                kept = [hit for hit in hits if hit.verified or not verified]
                answers.append(Answer(str(path), kept))
            except (ImageError, QueryError) as error:
                if len(images) == 1:
                    raise BovwError(f"{path}: {error}") from error
                skips(str(path), str(error))
    click.echo(WRITERS[format](answers), nl=False)
    if not answers:
        raise BovwError("not one of the images can be used as a query")
    skips.leave()


@cli.command("eval")
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
@click.option("--ablation", is_flag=True,
              help="Measure all methods, from TF-IDF to the default, in one table.")  # fmt: skip
@jobs_option
@quiet_option
def evaluate_dataset(
    dataset: str, images: Path, truth: Path | None, index: Path | None, vocab: Path | None,
    scoring: str, rerank: int, expand: int, ap: Any, query_mode: str | None, format: str,
    run: Path | None, ablation: bool, jobs: int | None, quiet: bool,
) -> None:  # fmt: skip
    """Measure retrieval on oxford5k, paris6k, roxford5k, rparis6k, holidays, ukbench or a .json.

    The index is made where it is missing, and kept for the next run.

    Example: bovw eval oxford5k --images oxbuild_images --truth gt_files
    """
    from bovw.evaluation.ablation import as_markdown, climb
    from bovw.evaluation.protocols import load
    from bovw.evaluation.report import as_text
    from bovw.evaluation.run import evaluate
    from bovw.results import Answer, as_trec
    from bovw.search import Searcher

    loaded = load(dataset, images, truth)
    skips = Skips()
    opened = _dataset_index(loaded, images, index, vocab, jobs, quiet, skips)
    if ablation:
        rungs = list(climb(loaded, images, opened, ap, query_mode, _progress(quiet)))
        content = {"dataset": loaded.name, "rungs": [vars(rung) for rung in rungs]}
        text = json.dumps(content, indent=1) if format == "json" else as_markdown(rungs)
        click.echo(text.rstrip("\n"))
        skips.leave()
        return
    searcher = Searcher(opened, SearchOptions(scoring=scoring, rerank=rerank, expand=expand))
    result = evaluate(loaded, images, searcher, ap, query_mode, _progress(quiet))
    for outcome in result.outcomes:
        if outcome.failure:
            skips(outcome.query.id, outcome.failure)
    if run:
        answers = [Answer(outcome.query.id, outcome.hits) for outcome in result.outcomes]
        run.write_text(as_trec(answers), encoding="utf-8")
    text = json.dumps(result.report(), indent=1) if format == "json" else as_text(result)
    click.echo(text.rstrip("\n"))
    skips.leave()


def _dataset_index(
    loaded: Any, images: Path, index: Path | None, vocab: Path | None, jobs: int | None,
    quiet: bool, skips: Skips,
) -> Index:  # fmt: skip
    """Open the index of a data set, made first where there is none."""
    from bovw.build import build_index
    from bovw.evaluation.database import database_files, find_index

    # An index that is there has its own vocabulary, and only one given beside it has to fit.
    given = click.get_current_context().get_parameter_source("vocab") is ParameterSource.COMMANDLINE
    needed = given or not (index and (index / "catalog.sqlite").is_file())
    vocabulary = _vocabulary(vocab, quiet) if needed else None
    folder, found = find_index(loaded, images, index, DEFAULT_INDEX, vocabulary)
    if found:
        _say(quiet, f"using the index in {folder}")
        return found
    _say(quiet, f"indexing {len(loaded.database):,} images into {folder}")
    _say(quiet or vocabulary is not None, NO_VOCABULARY)
    files = database_files(loaded, images)
    return build_index(
        files, folder, vocabulary, jobs=jobs, progress=_progress(quiet), on_skip=skips
    )


@cli.command()
@click.argument("folder", type=FOLDER, metavar="INDEX_OR_VOCAB")
@click.option("--format", type=click.Choice(["table", "json"]), default="table",
              show_default=True, help="How figures are written.")  # fmt: skip
def info(folder: Path, format: str) -> None:
    """Show what an index or a vocabulary holds, and whether its checksums hold.

    Example: bovw info bovw-index --format json
    """
    from bovw.info import as_text, describe_folder

    content = describe_folder(folder)
    click.echo(json.dumps(content, indent=1) if format == "json" else as_text(content))
    if content["damaged"]:
        command = "bovw index" if content["kind"] == "index" else "bovw build-vocab"
        raise BovwError(f"{len(content['damaged'])} damaged files: make it again with `{command}`")


@cli.command()
@click.option("--out", type=FOLDER, default=Path("bovw-demo"), show_default=True,
              help="The folder to write.")  # fmt: skip
def demo(out: Path) -> None:
    """Draw a small collection, then train, index, query and evaluate on it.

    Example: bovw demo --out bovw-demo
    """
    from bovw.synthetic import write_collection

    _say(False, f"drawing pictures into {out}")
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
