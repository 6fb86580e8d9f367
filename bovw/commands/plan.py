"""The plan command: forecasts the resources for a collection."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bovw.commands.feedback import say
from bovw.commands.options import FOLDER
from bovw.errors import UsageError

if TYPE_CHECKING:
    from bovw.capacity.forecast import Costs, Needs


if TYPE_CHECKING:
    _NodesType = click.ParamType["int | None"]
else:
    _NodesType = click.ParamType  # it takes no type before click 8.4


class Nodes(_NodesType):
    """A number of nodes, or `auto`, which is None."""

    name = "auto|K"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Read `auto` or a number from 1."""
        if value == "auto":
            return None
        if not str(value).isdecimal() or int(value) < 1:
            self.fail(f"{value!r} is neither auto nor a number of nodes from 1", param, ctx)
        return int(value)


@click.command()
@click.argument("folder", type=FOLDER, required=False, metavar="[DIR]")
@click.option("--images", type=click.IntRange(min=1), required=True, help="Images to index.")
@click.option(
    "--features",
    type=click.IntRange(1, 1_000_000),
    help="Features kept per image.  [default: as many as the pictures have]",
)
@click.option(
    "--nodes",
    type=Nodes(),
    default="auto",
    show_default=True,
    help="Machines like this one to spread the index over; auto: the fewest that answer "
    "half of the queries in less than a second, with all their words.",
)
@click.option(
    "--index",
    type=FOLDER,
    help="An index to measure lists, bytes and speed on.  [default: none]",
)
@click.option(
    "--memory",
    type=click.FloatRange(min=0, min_open=True),
    metavar="GB",
    help="Memory of a node.  [default: this machine's]",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Processes that build on a node.  [default: all processors]",
)
@click.option("--format", type=click.Choice(["table", "json"]), default="table",
              show_default=True, help="How the answer is written.")  # fmt: skip
def plan(
    folder: Path | None,
    images: int,
    features: int | None,
    nodes: int | None,
    index: Path | None,
    memory: float | None,
    jobs: int | None,
    format: str,
) -> None:
    """Forecast what a collection takes: disk, memory, hours, seconds a query, machines.

    Measures some pictures of DIR, or else of --index, for less than a minute. Without either, the
    forecast uses measurements of another machine.

    Example: bovw plan PHOTOS --images 1000000
    """
    from bovw.capacity.forecast import enough_nodes, needs
    from bovw.capacity.probe import measure
    from bovw.compute.threads import available_jobs
    from bovw.images.find import find_images
    from bovw.index import Index

    opened = Index.open(index) if index else None
    found = find_images([folder]) if folder else []
    if found or opened:
        say(False, "measuring, for less than a minute")
    costs = measure(found, opened)
    costs = replace(costs, features=features or costs.features)
    held = 1e9 * memory if memory else own_memory()
    count = nodes or enough_nodes(costs, images, held)
    jobs = jobs or available_jobs()
    here = needs(costs, images, 1, jobs)
    spread = needs(costs, images, count, jobs)
    write = as_json if format == "json" else as_text
    click.echo(write(costs, images, held, here, spread))


def own_memory() -> float:
    """Return the bytes of this machine's memory."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError) as error:  # Windows has none
        raise UsageError("this system does not tell its memory: give --memory") from error


def as_text(costs: Costs, images: int, memory: float, here: Needs, spread: Needs) -> str:
    """Return a table, then the origin of its figures."""
    columns = [here] if spread.nodes == 1 else [here, spread]
    titles = ["this machine"] + [f"each of {n.nodes:,} nodes" for n in columns[1:]]
    lines = [f"{images:,} images of {costs.features:,.0f} features", row("", titles)]
    lines += [row("disk, wanted in the file cache", [size(n.disk) for n in columns])]
    lines += [row("memory to answer", [size(n.asking) for n in columns])]
    fit = ["yes" if n.fits(memory) else "no" for n in columns]
    lines += [row(f"both fit {size(memory)}", fit)]
    lines += [row("memory to build", [size(n.building) for n in columns])]
    lines += [row("hours to build", [f"{n.hours:,.2f}" for n in columns])]
    asked = [f"{n.query.words}{', expanded' if n.query.expanded else ''}" for n in columns]
    lines += [row("words a feature of a query", asked)]
    lines += [row("seconds a query, p50", [f"{n.query.seconds:.2f}" for n in columns])]
    for part in here.query.parts:
        lines += [row(f"  {part}", [f"{n.query.parts[part]:.3f}" for n in columns])]
    return "\n".join([*lines, "", *behind(costs)])


def behind(costs: Costs) -> list[str]:
    """Return lines that list measurements and assumptions."""
    from bovw.capacity.forecast import HOP, STRAGGLING

    yours = ", ".join(name.replace("_", " ") for name in costs.yours)
    return [
        f"yours: {yours or 'nothing'}",
        "measured on 1,201 photographs and one core of an AMD EPYC: "
        + ("all else" if yours else "everything"),
        f"assumed: {1e3 * HOP:g} ms a level of the network, nodes that differ by {STRAGGLING:.0%}; "
        "a query has one core of each node, and waits for no disk, which holds where both fit",
    ]


def as_json(costs: Costs, images: int, memory: float, here: Needs, spread: Needs) -> str:
    """Return JSON, in bytes, hours and seconds."""
    content = {
        "images": images,
        "memory": memory,
        "here": {**here.as_dict(), "fits": here.fits(memory)},
        "spread": {**spread.as_dict(), "fits": spread.fits(memory)},
        "costs": asdict(costs),
        "yours": costs.yours,
    }
    return json.dumps(content, indent=1)


def row(title: str, values: list[str]) -> str:
    """Return a line of the table."""
    return f"{title:<32}" + "".join(f"{value:>24}" for value in values)


def size(count: float) -> str:
    """Return bytes with a unit."""
    for unit in ("MB", "GB", "TB"):
        count /= 1e3 if unit != "MB" else 1e6
        if count < 1000:
            break
    return f"{count:,.3g} {unit}" if count < 1000 else f"{count:,.0f} {unit}"


COMMANDS = (plan,)
