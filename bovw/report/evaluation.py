"""The HTML page of an evaluation: its figures, and each query's hits with their true labels."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

from bovw.evaluation.datasets import Query
from bovw.evaluation.metrics import interpolated, precision_recall
from bovw.evaluation.results import Evaluation, Outcome
from bovw.geometry import corners
from bovw.records import Hit
from bovw.report.album import Album
from bovw.report.curve import curve_figure
from bovw.report.figure import figure
from bovw.report.page import page
from bovw.report.text import counted, path_shown, shown

# Longest sides of hits and queries in pixels, and their JPEG quality: about 5 and 15 kB each.
SIZE, QUERY_SIZE, QUALITY = 160, 320, 75
# How many hits of a query are shown, and how many ranks of its positives are listed.
HITS, RANKS = 10, 15
# The CSS class and the meaning of each label.
COLOURS = {"good": "yes", "ok": "yes", "easy": "yes", "hard": "hard", "junk": "soft", "wrong": "no"}
MEANINGS = {
    "good": "correct",
    "ok": "correct",
    "easy": "correct, but not counted in the setting hard",
    "hard": "correct, but not counted in the setting easy",
    "junk": "not counted",
    "wrong": "all other images",
}
Curves = dict[str, list[float]]


def evaluation_page(evaluation: Evaluation, images: Path) -> bytes:
    """Return the HTML page of an evaluation, worst queries first.

    images  the folder that contains the query images
    """
    album = Album(QUALITY)
    curves = [_curves(outcome) for outcome in evaluation.outcomes]
    report = evaluation.report()
    order = sorted(range(len(curves)), key=lambda i: _worth(report["queries"][i]["ap"]))
    queries = "\n".join(
        _query(evaluation.outcomes[i], report["queries"][i]["ap"], curves[i], images, album)
        for i in order
    )
    name = evaluation.dataset.name
    body = f"""<h1>{shown(name)}</h1>
<p class="soft">{counted(len(evaluation.dataset.database), "image")}, \
{len(curves):,} queries. {shown(evaluation.dataset.note)}</p>
{_figures(evaluation)}
<div class="sheet">{_mean_curve(evaluation, curves)}
{_settings(report)}</div>
<section><h2>Queries, worst first</h2>
<p class="soft">Labels from the ground truth: {_legend(evaluation)}. An amber box shows where the \
query matches the hit.</p>
<div class="queries">
{queries}
</div></section>
<footer>{_time(report)}</footer>"""
    return page(f"Evaluation of {name}", body, album)


def _legend(evaluation: Evaluation) -> str:
    """Explain the labels that this ground truth uses."""
    used = {label for o in evaluation.outcomes for label in o.query.labels.values()} | {"wrong"}
    return "; ".join(f"{_word(label)}, {MEANINGS[label]}" for label in MEANINGS if label in used)


def _word(label: str) -> str:
    return f'<span class="word {COLOURS.get(label, "soft")}">{shown(label)}</span>'


def _curves(outcome: Outcome) -> Curves:
    """Return a query's interpolated curve for each setting in which it has positives."""
    return {
        setting: interpolated(precision_recall(outcome.ranking, judged.positives, judged.junk))
        for setting, judged in outcome.query.judgements.items()
        if judged.positives
    }


def _figures(evaluation: Evaluation) -> str:
    figures = []
    for setting in evaluation.dataset.settings:
        low, high = evaluation.interval(setting)
        name = "" if setting == "all" else f" {setting}"
        figures += [
            _figure(
                f"{evaluation.mean_ap(setting):.4f}",
                f"mAP{name}, 95 % interval: {low:.3f} to {high:.3f}",
            ),
            _figure(f"{evaluation.recall_at_1(setting):.4f}", f"R@1{name}: first hit correct"),
        ]
    if evaluation.ukbench is not None:
        figures.append(_figure(f"{evaluation.ukbench:.3f}", "of 4 correct images in the first 4"))
    return f'<div class="figures">{"".join(figures)}</div>'


def _figure(value: str, meaning: str) -> str:
    return f'<div><b>{value}</b><span class="soft">{meaning}</span></div>'


def _mean_curve(evaluation: Evaluation, curves: list[Curves]) -> str:
    means = {}
    for setting in evaluation.dataset.settings:
        own = [curve[setting] for curve in curves if setting in curve]
        means[setting] = [fmean(at) for at in zip(*own, strict=True)]
    drawn = curve_figure(means, "Mean precision-recall curve")
    caption = "Interpolated precision at 101 recall levels, averaged over queries"
    return f"<figure>{drawn}<figcaption>{caption}</figcaption></figure>"


def _settings(report: dict[str, Any]) -> str:
    values = report["settings"] | {"features": _joined(report["settings"]["features"])}
    del values["index"]  # a path on this machine; do not publish it
    values["bytes_per_image"] = f"{values['bytes_per_image']:,.0f}"
    rows = (
        f"<dt>{shown(key.replace('_', ' '))}</dt><dd>{shown(str(value))}</dd>"
        for key, value in values.items()
    )
    return f"<dl>{''.join(rows)}</dl>"


def _joined(options: dict[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in options.items())


def _time(report: dict[str, Any]) -> str:
    describe, search = (report["milliseconds"][stage] for stage in ("describe", "search"))
    return f"Median time per query: {describe:.0f} ms for features, {search:.0f} ms for the search."


def _worth(ap: Any) -> float:
    """Return the sort key of a query: its mean AP over the settings that have positives."""
    values = [v for v in (ap.values() if isinstance(ap, dict) else [ap]) if v is not None]
    return fmean(values) if values else 2.0


def _query(outcome: Outcome, ap: Any, curves: Curves, images: Path, album: Album) -> str:
    query = outcome.query
    picture = album.thumbnail(images / query.image, QUERY_SIZE)
    outline = None if query.region is None else corners(query.region)
    hits = "\n".join(_hit(hit, query, album) for hit in outcome.hits[:HITS])
    return f"""<details><summary><span class="id">{shown(query.id)}</span>
{_precision(ap)}</summary>
<div class="asked">{figure(picture, f"Query: {query.image}", outline)}
{curve_figure(curves, f"Precision-recall curve of {query.id}")}
<div><p class="name">{path_shown(query.image)}</p>{_found(outcome)}</div></div>
<ol class="hits">
{hits}
</ol></details>"""


def _precision(ap: Any) -> str:
    if not isinstance(ap, dict):
        ap = {"AP": ap}
    cells = ", ".join(f"{name} {'-' if v is None else f'{v:.3f}'}" for name, v in ap.items())
    known = min(_worth(ap), 1.0)
    return (
        f'<span class="bar"><i style="width:{known:.0%}"></i></span><span class="ap">{cells}</span>'
    )


def _found(outcome: Outcome) -> str:
    """List the ranks of a query's positives, or say why the query failed."""
    if outcome.failure:
        return f'<p class="word no">failed: {shown(outcome.failure)}</p>'
    lines = []
    for setting, judged in outcome.query.judgements.items():
        kept = [name for name in outcome.ranking if name not in judged.junk]
        ranks = [rank for rank, name in enumerate(kept, 1) if name in judged.positives]
        written = ", ".join(f"{rank:,}" for rank in ranks[:RANKS]) + ", …" * (len(ranks) > RANKS)
        name = "" if setting == "all" else f"{setting}: "
        positives = counted(len(judged.positives), "correct image")
        lines.append(f"<p>{name}{positives}, ranks found: {written or 'none'}</p>")
    return "".join(lines)


def _hit(hit: Hit, query: Query, album: Album) -> str:
    label = _label(hit.name, query)
    inliers = f", {counted(hit.inliers, 'matching point')}" if hit.confirmed else ""
    thumbnail = album.thumbnail(hit.path, SIZE)
    return f"""<li class="hit">{figure(thumbnail, f"{hit.rank}: {hit.name}", hit.box)}
<div class="about"><span class="rank">{hit.rank}</span>\
<p>{_word(label)}{inliers}</p>
<p class="name">{path_shown(hit.name)}</p></div></li>"""


def _label(name: str, query: Query) -> str:
    """Return an image's label; a query that must not find itself is its own junk."""
    junk = any(name in judged.junk for judged in query.judgements.values())
    return query.labels.get(name, "junk" if junk else "wrong")
