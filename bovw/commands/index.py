"""The commands that add images to an index, remove them, and list them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from bovw.commands.feedback import (
    NO_VOCABULARY,
    calibrated,
    contents,
    find_vocabulary,
    on_cluster,
    progress,
    say,
)
from bovw.commands.options import (
    FOLDER,
    cluster_option,
    feature_options,
    index_option,
    ingest_options,
    jobs_option,
    quiet_option,
)
from bovw.commands.skips import Skips
from bovw.errors import BovwError
from bovw.options import FeatureOptions, IngestOptions

if TYPE_CHECKING:
    from bovw.images import ImageFile
    from bovw.index import ImageRow


@click.command("index")
@click.argument("folders", nargs=-1, required=True, type=FOLDER, metavar="DIR...")
@index_option
@click.option("--vocab", type=FOLDER, envvar="BOVW_VOCAB",
              help="A vocabulary's folder, for a new index.  [default: bovw-vocab if it exists, "
                   "else one trained on the same images]")  # fmt: skip
@feature_options
@ingest_options
@click.option("--dry-run", is_flag=True, help="Only show the changes.")
@click.option("--shards", type=click.IntRange(1, 10_000),
              help="Make a new index of this many shards, for several machines.")  # fmt: skip
@cluster_option
@jobs_option
@quiet_option
@click.pass_context
def make_index(
    context: click.Context, folders: tuple[Path, ...], index: Path, vocab: Path | None,
    max_features: int, max_size: int, upright: bool, exclude: tuple[str, ...], batch: int,
    time_limit: float, retry: bool, dry_run: bool, shards: int | None, cluster: str | None,
    jobs: int | None, quiet: bool,
) -> None:  # fmt: skip
    """Index images so that queries find them, or update an existing index.

    An image's name is its path below the given folder. New and changed images are read, moved
    ones keep their features, and images gone from the folder are removed.

    Example: bovw index photos --index bovw-index
    """
    from bovw.images.find import find_images
    from bovw.index import read_any_meta
    from bovw.ingest.build import build_index
    from bovw.ingest.changes import below
    from bovw.ingest.run import Recipe, Run

    skips = Skips()
    images = find_images(folders, exclude, skips.folder, skips.other)
    say(quiet, skips.others())
    may_vanish = below(folders)
    if dry_run:
        _show_changes(index, images, may_vanish, retry)
        return
    meta = read_any_meta(index)
    given = FeatureOptions(max_size=max_size, max_features=max_features, upright=upright)
    features = _features(context, meta, given)
    chosen = not meta or context.get_parameter_source("vocab") == ParameterSource.COMMANDLINE
    vocabulary = find_vocabulary(vocab, quiet) if chosen else None
    say(quiet or bool(meta) or vocabulary is not None, NO_VOCABULARY)
    ingest = IngestOptions(batch, time_limit, retry)
    with on_cluster(cluster) as workers:
        run = Run(jobs, progress(quiet), skips, ingest, workers)
        recipe = Recipe(vocabulary, features, shards=shards)
        made = build_index(
            images, index, recipe, run, may_vanish,
            lambda changes: say(quiet or not meta, changes.summary()),
        )  # fmt: skip
    say(quiet, contents(calibrated(made, ingest, jobs, quiet, skips)))
    skips.leave()


def _features(
    context: click.Context, meta: dict[str, Any], given: FeatureOptions
) -> FeatureOptions:
    """Return the index's feature options, overridden by those that the user gave."""
    if not meta:
        return given
    told = {
        name: value
        for name, value in asdict(given).items()
        if context.get_parameter_source(name) not in (None, ParameterSource.DEFAULT)
    }
    return replace(FeatureOptions.of(meta["options"]), **told)


def _show_changes(
    index: Path, images: list[ImageFile], may_vanish: Callable[[ImageRow], bool], retry: bool
) -> None:
    """Print an update's changes, image by image."""
    from bovw.index import Index, read_any_meta
    from bovw.ingest.changes import find_changes
    from bovw.results.formats import printable

    rows = Index.open(index).images() if read_any_meta(index) else []
    plan = find_changes({row.name: row for row in rows}, images, may_vanish, retry)
    for what, name in plan.steps():
        click.echo(f"{what} {printable(name)}")
    say(False, plan.summary())


@click.command()
@click.argument("images", nargs=-1, required=True, type=FOLDER, metavar="IMG...")
@index_option
@ingest_options
@jobs_option
@quiet_option
def add(
    images: tuple[Path, ...], index: Path, batch: int, time_limit: float, retry: bool,
    jobs: int | None, quiet: bool,
) -> None:  # fmt: skip
    """Add images to an index, and read changed ones again.

    An image's name is its path below an indexed folder, else its file name.

    Example: bovw add new/photo.jpg --index bovw-index
    """
    from bovw.index import Index
    from bovw.ingest.build import build_index
    from bovw.ingest.changes import name_files
    from bovw.ingest.run import Run

    skips = Skips()
    files = name_files(images, Index.open(index).images())
    made = build_index(
        files,
        index,
        run=Run(jobs, progress(quiet), skips, IngestOptions(batch, time_limit, retry)),
        may_vanish=lambda row: False,
        on_changes=lambda changes: say(quiet, changes.summary()),
    )
    say(quiet, contents(made))
    skips.leave()


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@index_option
@quiet_option
def remove(names: tuple[str, ...], index: Path, quiet: bool) -> None:
    """Remove images from an index; their files stay.

    NAME is as `bovw list` shows it. `bovw index` on the image's folder adds it again.

    Example: bovw remove holiday/0012.jpg --index bovw-index
    """
    from bovw.index import Index, commit_all, edit_index, shard_of

    with edit_index(index) as writers:
        holders = {name: writers[shard_of(name, len(writers))] for name in names}
        unknown = [name for name, holder in holders.items() if name not in holder.rows]
        if unknown:
            raise BovwError(f"{index} has no {', '.join(unknown)}: see `bovw list`")
        for name, holder in holders.items():
            holder.remove(name)
        commit_all(index, writers)
    say(quiet, contents(Index.open(index)))


@click.command("list")
@index_option
@click.option("--status", type=click.Choice(["ok", "skipped"]), help="Only these images.")
def list_images(index: Path, status: str | None) -> None:
    """Print the name of every image of an index, and the reason if it was skipped.

    Example: bovw list --status skipped
    """
    from bovw.index import Index
    from bovw.results.formats import printable

    for row in Index.open(index).images():
        if status in (None, row.status):
            click.echo(printable(row.name) + (f"\t{row.reason}" if row.reason else ""))


COMMANDS = (make_index, add, remove, list_images)
