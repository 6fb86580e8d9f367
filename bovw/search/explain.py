"""Explains why a query finds an image, or does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bovw.index import postings_of
from bovw.records import Box, Doubles, Features, WordQuery
from bovw.results import often
from bovw.search.question import LocalQuestion
from bovw.search.searcher import Searcher
from bovw.verification import (
    LEAST,
    THICKNESS,
    Evidence,
    Examined,
    Matches,
    examine,
    needed_inliers,
    tentative_matches,
)

# Inliers on so small a part of the picture are said to lie on one spot.
SPOT = 2 * THICKNESS
# Inliers of this thickness are said to lie along a line.
LINE = THICKNESS / 2


@dataclass(frozen=True)
class Explanation:
    """How an image fared as a candidate of a query.

    images        in the index
    rank          the image's before verification, from 1
    verified      how many of the best ranks are verified
    score         the image's before verification
    shared        visual words that both pictures have
    evidence      in the best transform of its tentative matches
    needed        effective inliers of this kind that would make a match; None if none would
    confirmed     whether the image is a match
    probability   that it shows what the query shows
    false_alarms  hits as good as this one that a query without a match has on average; None if no
                  geometry agrees
    transform     float64 [3, 3], query pixels to the image's; None if no geometry agrees
    points        float64 [inliers, 4]: x, y in the query and x, y in the image
    reason        all this in a sentence
    """

    images: int
    rank: int
    verified: int
    score: float
    shared: int
    evidence: Evidence
    needed: int | None
    confirmed: bool
    probability: float
    false_alarms: float | None
    transform: Doubles | None
    points: Doubles
    reason: str


def explain(searcher: Searcher, features: Features, region: Box, image: int) -> Explanation:
    """Explain how an image, given by its number, fares with a query; see `Searcher.find`.

    Raises QueryError if the query has no features.
    """
    query, index = searcher.word_query(features, region), searcher.index
    ranking = LocalQuestion(index, query, searcher.options).rank(None)
    tried = min(searcher.options.rerank, len(ranking))
    rank = ranking.images.tolist().index(image) + 1
    among = min(rank, tried + 1)
    matches, side, shared = _matches(searcher, query, image)
    one = examine(matches, (query.side, side), among)
    calibration, most = searcher.calibration, searcher.options.max_false_alarms
    needed = needed_inliers(one.evidence, calibration.meaning(most, tried), among)
    judged = searcher.judge_among(query, ranking, features, [image])
    alarms = calibration.false_alarms(one.evidence.meaning, tried) if one.agrees else None
    fate = Fate(
        rank, tried, one, needed, bool(judged and judged[0].confirmed and rank <= tried), alarms
    )
    return Explanation(
        images=len(index),
        rank=rank,
        verified=tried,
        score=float(ranking.scores[rank - 1]),
        shared=shared,
        evidence=one.evidence,
        needed=needed,
        confirmed=fate.confirmed,
        probability=judged[0].probability if judged else 0.0,
        false_alarms=alarms,
        transform=one.transform if one.agrees else None,
        points=np.hstack([matches.query[one.inliers, :2], matches.found[one.inliers, :2]]),
        reason=reason(fate),
    )


class Fate(NamedTuple):
    """What became of an image, in the order of a search; see `Explanation`."""

    rank: int
    verified: int
    examined: Examined
    needed: int | None
    confirmed: bool
    false_alarms: float | None


def reason(fate: Fate) -> str:
    """Say in a sentence why an image is a match, or why not."""
    evidence = fate.examined.evidence
    if fate.confirmed and fate.false_alarms is not None:
        return (
            f"a match: {evidence.effective} places agree, as many as chance gives in "
            f"{often(fate.false_alarms)}"
        )
    if evidence.tentative < LEAST:
        return "no match: hardly any of its features are like the query's"
    if not fate.examined.is_plausible and evidence.inliers >= LEAST:
        return "no match: what agrees would squeeze the query as no photograph does"
    if fate.false_alarms is None:
        return f"no match: no {LEAST} of its matches agree on where the query lies in it"
    enough = f", and {fate.needed} would be enough" if fate.needed else ""
    told = (
        f"its {evidence.inliers} points lie {_where(evidence)}: chance gives as much in "
        f"{often(fate.false_alarms)}{enough}"
    )
    if fate.rank > fate.verified:
        return f"not looked at: it ranks {fate.rank}, and the first {fate.verified} are; {told}"
    return f"no match: {told}"


def _where(evidence: Evidence) -> str:
    if evidence.length < SPOT:
        return "on one small spot"
    if evidence.thickness < LINE:
        return "along one line"
    places = evidence.effective
    return f"in {places} places" if places < evidence.inliers else "in as many places"


def _matches(searcher: Searcher, query: WordQuery, image: int) -> tuple[Matches, float, int]:
    """Return an image's tentative matches, its longest side, and the words that it shares."""
    index = searcher.index
    [(segment, number, postings)] = postings_of(index.segments, np.array([image], np.int32))
    weights, options = index.statistics.weights, searcher.options
    [matches] = tentative_matches(query, segment, np.array([number]), weights, options)
    own = np.unique(segment.words(postings).ids)
    return matches, float(segment.sizes[number].max()), int(np.isin(own, query.words.ids).sum())
