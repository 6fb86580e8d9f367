"""The commands that add images to an index, remove them, and list them."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from bovw.commands.feedback import (
    NO_VOCABULARY,
    calibrated,
    contents,
    counted,
    find_vocabulary,
    on_cluster,
    outgrown,
    progress,
    say,
)
from bovw.commands.finding import Found, find, review
from bovw.commands.options import (
    FOLDER,
    cluster_option,
    feature_options,
    index_option,
    ingest_options,
    jobs_option,
    quiet_option,
    wait_option,
)
from bovw.commands.skips import Skips
from bovw.compute.text import one_line, printable
from bovw.errors import BovwError
from bovw.feedback import ignore_skip
from bovw.options import FeatureOptions, IngestOptions


@click.command("index")
@click.argument("folders", nargs=-1, required=True, type=FOLDER, metavar="DIR...")
@index_option
@click.option("--vocab", type=FOLDER, envvar="BOVW_VOCAB",
              help="A vocabulary's folder, for a new index.  [default: bovw-vocab if it exists, "
                   "else one trained on the same images]")  # fmt: skip
@feature_options
@ingest_options
@click.option("--dry-run", is_flag=True, help="Only show the changes.")
@click.option("--allow-removal", is_flag=True,
              help="Remove images that are gone even if they are many, or their folder is empty."
              )  # fmt: skip
@click.option("--shards", type=click.IntRange(1, 10_000),
              help="Make a new index of this many shards, for several machines.")  # fmt: skip
@cluster_option
@jobs_option
@wait_option
@quiet_option
@click.pass_context
def make_index(
    context: click.Context, folders: tuple[Path, ...], index: Path, vocab: Path | None,
    max_features: int, max_size: int, upright: bool, exclude: tuple[str, ...], batch: int,
    time_limit: float, retry: bool, dry_run: bool, allow_removal: bool, shards: int | None,
    cluster: str | None, jobs: int | None, quiet: bool,
) -> None:  # fmt: skip
    """Index images so that queries find them, or update an existing index.

    An image's name is its path below the outermost folder that was ever given. New and changed
    images are read, moved ones keep their features, and images gone from the folder are removed.
    Images in a folder that is empty or cannot be read stay.

    Example: bovw index photos --index bovw-index
    """
    from bovw.index import read_any_meta
    from bovw.ingest.build import build_index
    from bovw.ingest.run import Recipe, Run

    skips = Skips()
    found = find(index, folders, exclude, skips, quiet, allow_removal)
    if dry_run:
        _show_changes(index, found, retry)
        return
    meta = read_any_meta(index)
    given = FeatureOptions(max_size=max_size, max_features=max_features, upright=upright)
    features = _features(context, meta, given)
    chosen = not meta or context.get_parameter_source("vocab") == ParameterSource.COMMANDLINE
    vocabulary = find_vocabulary(vocab, quiet) if chosen else None
    say(quiet or bool(meta) or vocabulary is not None, NO_VOCABULARY)
    ingest = IngestOptions(batch, time_limit, retry)

    with on_cluster(cluster) as workers:
        on_remark = ignore_skip if quiet else skips.remark
        run = Run(jobs, progress(quiet), skips, ingest, workers, on_remark)
        recipe = Recipe(vocabulary, features, shards=shards, collection=found.collection)
        told = partial(review, found.looked, allow_removal, quiet or not meta)
        made = build_index(found.images, index, recipe, run, found.looked, told)
    made = calibrated(made, ingest, jobs, quiet, skips)
    say(quiet, contents(made))
    say(quiet, outgrown(made))
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


def _show_changes(index: Path, found: Found, retry: bool) -> None:
    """Print an update's changes, image by image."""
    from bovw.index import Index, read_any_meta
    from bovw.ingest.changes import find_changes

    rows = Index.open(index).images() if read_any_meta(index) else []
    plan = find_changes({row.name: row for row in rows}, found.images, found.looked, retry)
    for what, name in plan.steps():
        click.echo(f"{what} {printable(name)}")
    review(found.looked, allow_removal=True, quiet=False, changes=plan)


@click.command()
@click.argument("images", nargs=-1, required=True, type=FOLDER, metavar="IMG...")
@index_option
@ingest_options
@jobs_option
@wait_option
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
    from bovw.ingest.collection import Collection, given_files
    from bovw.ingest.run import Run

    Index.open(index)  # fails if there is none
    skips = Skips()
    files = Collection.of(index).name(given_files(images, skips))
    if not files:
        raise BovwError("nothing was added: give files that exist")
    ingest = IngestOptions(batch, time_limit, retry)
    on_remark = ignore_skip if quiet else skips.remark
    made = build_index(
        files,
        index,
        run=Run(jobs, progress(quiet), skips, ingest, on_remark=on_remark),
        may_vanish=lambda row: False,
        on_changes=lambda changes: say(quiet, changes.summary()),
    )
    say(quiet, contents(made))
    skips.leave()


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@index_option
@wait_option
@quiet_option
def remove(names: tuple[str, ...], index: Path, quiet: bool) -> None:
    """Remove images from an index; their files stay.

    NAME is as `bovw list` shows it, or a folder of such names, or the absolute path of a folder,
    which need not exist any more. `bovw index` on the images' folder adds them again.

    Example: bovw remove holiday/0012.jpg --index bovw-index
    """
    from bovw.index import Index, commit_all, edit_index
    from bovw.ingest.collection import find_named

    with edit_index(index) as writers:
        rows = {name: row for writer in writers for name, row in writer.rows.items()}
        meant = {name: find_named(rows, name) for name in names}
        unknown = [name for name, found in meant.items() if not found]
        if unknown:
            raise BovwError(f"{index} has no {', '.join(unknown)}: see `bovw list`")
        chosen = {name for found in meant.values() for name in found}
        for writer in writers:
            for name in chosen & writer.rows.keys():
                writer.remove(name)
        commit_all(index, writers)
    say(quiet, contents(Index.open(index)))


@click.command("list")
@index_option
@click.option("--status", type=click.Choice(["ok", "skipped"]), help="Only these images.")
def list_images(index: Path, status: str | None) -> None:
    """Print the name of every image of an index, and the reason if it was skipped.

    A reason behind other images is a remark: they can be found.

    Example: bovw list --status skipped
    """
    from bovw.index import Index

    opened = Index.open(index)
    for row in opened.images():
        if status in (None, row.status):
            click.echo(printable(row.name) + (f"\t{one_line(row.reason)}" if row.reason else ""))
    say(False, counted(len(opened), opened.skipped))


COMMANDS = (make_index, add, remove, list_images)
