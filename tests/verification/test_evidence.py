"""How far matches agree, against what chance gives: a slow twin, and what may never happen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bovw.records import Doubles
from bovw.verification import Calibration, Verified
from bovw.verification.evidence import (
    AGREES,
    CELLS,
    COUNTS,
    ELSEWHERE,
    LEAST,
    MOST,
    THICKNESS,
    THINNEST,
    Evidence,
    is_plausible,
    meaning_of,
    needed_inliers,
    shares_here,
    weigh,
)
from bovw.verification.matches import Matches
from bovw.verification.ransac import DEGREES, OCTAVES, TIGHT
from bovw.verification.verify import examine, verify_matches
from tests.verification.planted import (
    AFFINE,
    HEIGHT,
    PLANTED,
    SIMILARITY,
    WIDTH,
    carried,
    frames_under,
    planted,
    random_frames,
    verified,
)

SIDES = (WIDTH, WIDTH)
some_shares = st.lists(st.floats(1e-7, 1), max_size=200)
counts = st.integers(0, 40_000)
spreads = st.floats(0, 0.4)
ranks = st.integers(1, 100_000)


def exact(H: Doubles, count: int, share: float = 0.1) -> Matches:
    frames = random_frames(np.random.default_rng(0), count)
    return Matches(frames, frames_under(H, frames), np.ones(count), np.full(count, share))


def weighed(frames: Doubles, share: float = 0.1, others: int = 100) -> Evidence:
    """Weigh inliers at places of a picture that matches itself, among other matches."""
    count = len(frames) + others
    all_frames = np.concatenate([frames, random_frames(np.random.default_rng(1), others)])
    matches = Matches(all_frames, all_frames, np.ones(count), np.full(count, share))
    return weigh(matches, np.eye(3), np.arange(count) < len(frames), SIDES)


def at(points: list[tuple[float, float]]) -> Doubles:
    return np.column_stack([np.array(points, np.float64), np.ones((len(points), 2))])


# The formula


def slow_meaning(shares: list[float], tentative: int, thickness: float, rank: int) -> float:
    """Compute the formula in the docstring for each number of inliers, and take the best."""
    tests = max(tentative, 1) ** 2 * rank
    thin = min(1.0, max(thickness, THINNEST) / THICKNESS) ** 2
    closest = sorted(shares)[:MOST]
    best = 0.0
    for k in [*range(LEAST, 65), 77, 92, 111, 133, 159, 191]:
        if k > len(closest):
            break
        # Of n - 1 other matches no more than all can agree.
        agreeing = min(k - 1, max(tentative - 1, 0))
        by_place = stats.binom.logsf(agreeing - 1, max(tentative - 1, 0), AGREES)
        by_closeness = stats.gamma.logsf(sum(-np.log(closest[:k])), k)
        best = max(best, -(by_place + by_closeness) / np.log(10))
    return float(best - np.log10(tests) + np.log10(thin))


@given(some_shares, counts, spreads, ranks)
@settings(max_examples=300, deadline=None)
def test_meaning_agrees_with_its_slow_twin(
    shares: list[float], others: int, thickness: float, rank: int
) -> None:
    tentative = len(shares) + others
    found = meaning_of(np.array(shares), tentative, thickness, rank)
    expected = slow_meaning(shares, tentative, thickness, rank)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(st.lists(st.floats(1e-300, 1), max_size=200), counts, st.floats(0, 2), ranks)
@settings(max_examples=200, deadline=None)
def test_meaning_is_finite(
    shares: list[float], tentative: int, thickness: float, rank: int
) -> None:
    assert np.isfinite(meaning_of(np.array(shares), tentative, thickness, rank))


@given(some_shares, st.floats(1e-7, 1), counts, spreads, ranks)
@settings(max_examples=200, deadline=None)
def test_a_further_inlier_never_weakens(
    shares: list[float], further: float, others: int, thickness: float, rank: int
) -> None:
    tentative = len(shares) + 1 + others
    before = meaning_of(np.array(shares), tentative, thickness, rank)
    after = meaning_of(np.array([*shares, further]), tentative, thickness, rank)
    assert after >= before - 1e-9


@given(some_shares, st.floats(0.01, 1), counts, spreads, ranks)
@settings(max_examples=200, deadline=None)
def test_closer_inliers_never_weaken(
    shares: list[float], factor: float, others: int, thickness: float, rank: int
) -> None:
    tentative, given_shares = len(shares) + others, np.array(shares)
    before = meaning_of(given_shares, tentative, thickness, rank)
    assert meaning_of(given_shares * factor, tentative, thickness, rank) >= before - 1e-9
    if len(shares):
        given_shares[0] *= factor
        assert meaning_of(given_shares, tentative, thickness, rank) >= before - 1e-9


@given(some_shares, counts, st.integers(1, 1000), spreads, ranks)
@settings(max_examples=200, deadline=None)
def test_more_to_choose_from_never_strengthens(
    shares: list[float], others: int, more: int, thickness: float, rank: int
) -> None:
    tentative, closest = len(shares) + others, np.array(shares)
    before = meaning_of(closest, tentative, thickness, rank)
    assert meaning_of(closest, tentative + more, thickness, rank) <= before + 1e-9


@given(some_shares, counts, spreads, ranks, ranks, st.floats(0, 0.4))
@settings(max_examples=200, deadline=None)
def test_a_later_rank_or_a_thinner_spread_never_strengthens(
    shares: list[float], others: int, thickness: float, rank: int, later: int, thicker: float
) -> None:
    tentative, closest = len(shares) + others, np.array(shares)
    before = meaning_of(closest, tentative, thickness, rank)
    assert meaning_of(closest, tentative, thickness, rank + later) <= before
    assert meaning_of(closest, tentative, thickness + thicker, rank) >= before


def test_ten_times_the_rank_costs_one() -> None:
    shares = np.full(6, 0.05)
    first, tenth = (meaning_of(shares, 200, 0.2, rank) for rank in (1, 10))
    assert first - tenth == pytest.approx(1)


@given(
    st.integers(0, 3000), st.floats(0, 12), spreads, ranks, st.floats(-5, 60)
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_needed_inliers_are_just_enough(
    tentative: int, closeness: float, thickness: float, rank: int, wanted: float
) -> None:
    evidence = Evidence(tentative, 5, 5, 1.0, closeness, thickness, 0.3, 0.0)
    needed = needed_inliers(evidence, wanted, rank)
    share = np.exp(-max(closeness, 1))

    def meaning(count: int) -> float:
        return meaning_of(np.full(count, share), tentative, thickness, rank)

    if needed is None:
        assert meaning(MOST) < wanted
    else:
        assert meaning(needed) >= wanted
        place = COUNTS.tolist().index(needed)
        assert not place or meaning(int(COUNTS[place - 1])) < wanted


# Closeness where one thing repeats


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=40), st.integers(0, 50), st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_shares_agree_with_their_slow_twin(
    shares: list[float], left_out: int, agreeing: int
) -> None:
    """The first ones agree; of the others, every third is near where it should be."""
    count, agreeing = len(shares), min(agreeing, len(shares))
    frames = random_frames(np.random.default_rng(3), count)
    found = frames_under(SIMILARITY, frames)
    away = [row for row in range(agreeing, count) if row % 3]
    found[away, 0] += 1.01 * ELSEWHERE * WIDTH
    matches = Matches(frames, found, np.ones(count), np.array(shares), left_out)
    inliers = np.arange(count) < agreeing
    expected = []
    for own in shares[:agreeing]:
        as_close = sum(shares[row] <= own for row in away)
        sure = max(as_close - 2 * as_close**0.5, 0)
        expected.append(max(own, sure / max(len(away), 1)))
    assert shares_here(matches, SIMILARITY, inliers, WIDTH).tolist() == pytest.approx(expected)


def test_copies_of_one_thing_are_no_evidence() -> None:
    """A row of letters: what agrees is as close as everything else, so only its number counts."""
    frames = random_frames(np.random.default_rng(4), 40)
    found = frames_under(SIMILARITY, frames)
    found[12:, :2] = random_frames(np.random.default_rng(5), 28)[:, :2]
    inliers = np.arange(40) < 12
    close = np.full(40, 1e-4)
    repeated = weigh(Matches(frames, found, np.ones(40), close), SIMILARITY, inliers, SIDES)
    close[12:] = 0.5
    single = weigh(Matches(frames, found, np.ones(40), close), SIMILARITY, inliers, SIDES)
    assert repeated.closeness < 0.6 and single.closeness == pytest.approx(-np.log(1e-4))
    assert single.meaning > repeated.meaning + 20


# Places


@pytest.mark.parametrize("left_out", [1, 100, 1_000_000])
def test_matches_left_out_weaken_the_evidence_as_much_as_others(left_out: int) -> None:
    matches = exact(SIMILARITY, 30)
    agreeing = np.arange(30) < 10
    whole = weigh(matches, SIMILARITY, agreeing, SIDES)
    cut = weigh(replace(matches, left_out=left_out), SIMILARITY, agreeing, SIDES)
    assert (cut.tentative, cut.inliers) == (30 + left_out, whole.inliers)
    shares = matches.shares[:10]
    assert cut.meaning == meaning_of(shares, 30 + left_out, cut.thickness, 1) < whole.meaning


def test_inliers_in_one_cell_count_once() -> None:
    cell = WIDTH / CELLS
    corners = [(100.0, 100.0), (500.0, 120.0), (300.0, 400.0), (120.0, 420.0)]
    alone = weighed(at(corners))
    near = [(x // cell * cell + dx, y) for x, y in corners for dx in (1, 5, 9, 15, 18)]
    crowded = weighed(at(near), others=100 - 16)
    assert (alone.effective, crowded.effective) == (4, 4)
    assert (alone.inliers, crowded.inliers) == (4, 20)
    assert crowded.tentative == alone.tentative
    # The spread is almost the same; the four places are worth as much.
    assert crowded.meaning == pytest.approx(alone.meaning, abs=1e-9)


@pytest.mark.parametrize("crowded", ["query", "found"])
def test_a_cell_of_either_picture_counts_once(crowded: str) -> None:
    frames = random_frames(np.random.default_rng(0), 30)
    small = frames.copy()
    small[:, :2] = 100 + frames[:, :2] % 20
    pair = (small, frames) if crowded == "query" else (frames, small)
    matches = Matches(*pair, np.ones(30), np.full(30, 0.1))
    assert weigh(matches, np.eye(3), np.ones(30, np.bool_), SIDES).effective <= 4


def test_of_a_place_the_first_match_counts() -> None:
    frames = at([(100.0, 100.0), (101.0, 101.0), (400.0, 100.0), (200.0, 400.0)])
    shares = np.array([0.5, 1e-6, 0.1, 0.1])
    matches = Matches(frames, frames, np.ones(4), shares)
    found = weigh(matches, np.eye(3), np.ones(4, np.bool_), SIDES)
    assert found.effective == 3
    assert found.closeness == pytest.approx(-np.log([0.5, 0.1, 0.1]).mean())


def test_inliers_on_a_line_mean_less() -> None:
    along = [(60.0 * i + 30, 200.0) for i in range(10)]
    spread = [(60.0 * i + 30, 60.0 + 300 * (i % 2)) for i in range(10)]
    line, full = weighed(at(along)), weighed(at(spread))
    assert line.effective == full.effective == 10
    assert line.meaning == pytest.approx(full.meaning + 2 * np.log10(THINNEST / THICKNESS))
    assert line.thickness == 0 and line.length > 0.2
    assert full.thickness > THICKNESS


@pytest.mark.parametrize("degrees", [0, 17, 45, 90, 133])
def test_spread_is_the_same_in_every_direction(degrees: float) -> None:
    turn = np.radians(degrees)
    rng = np.random.default_rng(2)
    points = rng.normal(0, 1, (4000, 2)) * (80, 16)
    turned = points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    frames = np.column_stack([turned + 400, np.ones((4000, 2))])
    matches = Matches(frames, frames, np.ones(4000), np.ones(4000))
    found = weigh(matches, np.eye(3), np.ones(4000, np.bool_), SIDES)
    across, along = np.sqrt(np.linalg.eigvalsh(np.cov(points.T, bias=True)))
    assert (found.thickness, found.length) == pytest.approx((across / WIDTH, along / WIDTH))


def test_the_smaller_spread_of_both_pictures_counts() -> None:
    frames = at([(100.0, 100.0), (500.0, 150.0), (300.0, 400.0)])
    half = frames * (0.25, 0.25, 1, 1)
    matches = Matches(half, frames, np.ones(3), np.ones(3))
    small = weigh(matches, np.eye(3), np.ones(3, np.bool_), SIDES)
    large = weigh(
        Matches(frames, frames, np.ones(3), np.ones(3)), np.eye(3), np.ones(3, np.bool_), SIDES
    )
    assert (small.thickness, small.length) == pytest.approx((large.thickness / 4, large.length / 4))
    # A share is of the picture's own longest side.
    same = weigh(matches, np.eye(3), np.ones(3, np.bool_), (WIDTH / 4, WIDTH))
    assert (same.thickness, same.length) == pytest.approx((large.thickness, large.length))


@pytest.mark.parametrize("tentative", [0, 1, 2, 50])
def test_without_inliers_nothing_is_meant(tentative: int) -> None:
    matches = exact(SIMILARITY, tentative)
    found = weigh(matches, np.eye(3), np.zeros(tentative, np.bool_), SIDES)
    assert (found.inliers, found.effective, found.weight, found.closeness) == (0, 0, 0, 0)
    assert np.isfinite(found.meaning) and found.meaning <= 0


# What is a match


def judged(matches: Matches, rank: int = 1) -> tuple[Verified | None, float]:
    """Return what agrees, and its false alarms among 100 images."""
    found = verify_matches(0, matches, SIDES, rank)
    return found, Calibration().false_alarms(found.evidence.meaning) if found else np.inf


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("kind", PLANTED)
def test_planted_matches_are_confirmed_and_shuffled_ones_are_not(kind: str, seed: int) -> None:
    matches, _ = planted(PLANTED[kind], 20, 150, seed)
    found, alarms = judged(matches)
    assert found is not None and alarms < 1e-4
    order = np.random.default_rng(seed).permutation(len(matches))
    # The places of the image's features and all that goes with them, for other features.
    shuffled = replace(matches, found=matches.found[order])
    assert judged(shuffled)[1] > 0.01


def test_chance_confirms_no_more_than_it_should() -> None:
    """Of 400 draws with up to 400 matches each."""
    rng = np.random.default_rng(0)
    confirmed = 0
    for _ in range(400):
        count = int(rng.integers(3, 400))
        query, found = random_frames(rng, count), random_frames(rng, count)
        weights = np.sort(rng.uniform(1, 8, count))[::-1].copy()
        matches = Matches(query, found, weights, rng.uniform(1e-12, 1, count))
        confirmed += judged(matches)[1] <= 0.01
    # Independent matches agree less than those of photographs, for which 4 were expected.
    assert confirmed <= 4


@pytest.mark.parametrize(("count", "share", "enough"), [
    (3, 0.5, False), (4, 0.5, False), (30, 0.5, True), (3, 1e-6, True), (6, 0.1, True),
])  # fmt: skip
def test_closer_inliers_need_to_be_fewer(count: int, share: float, enough: bool) -> None:
    matches, rng = exact(SIMILARITY, count, share), np.random.default_rng(3)
    # 100 more, which agree with nothing.
    query, found = random_frames(rng, 100), random_frames(rng, 100)
    mixed = Matches(
        np.concatenate([matches.query, query]),
        np.concatenate([matches.found, found]),
        np.repeat([9.0, 0.1], [count, 100]),
        np.concatenate([matches.shares, np.full(100, 0.5)]),
    )
    assert (judged(mixed)[1] <= 0.01) is enough


def test_three_inliers_are_the_fewest() -> None:
    assert judged(exact(SIMILARITY, LEAST))[0] is not None
    assert judged(exact(SIMILARITY, LEAST - 1))[0] is None
    one = examine(exact(SIMILARITY, LEAST - 1), SIDES)
    assert not one.agrees and not one.is_plausible


@pytest.mark.parametrize("crowded", ["query", "found"])
def test_many_inliers_in_few_places_do_not_agree(crowded: str) -> None:
    transform = np.diag([4.0, 4.0, 1.0]) if crowded == "query" else np.diag([0.25, 0.25, 1.0])
    frames = random_frames(np.random.default_rng(0), 30)
    # 40 x 20 pixels on one side: 2 of the 20-pixel cells.
    cells = np.array([39, 19]) * (1 if crowded == "query" else 4)
    frames[:, :2] = frames[:, :2] % cells
    ones = np.ones(len(frames))
    matches = Matches(frames, frames_under(transform, frames), ones, ones / 10)
    assert verified(matches)[1].sum() >= 8
    assert judged(matches)[0] is None


# What chance gives


@pytest.mark.parametrize("reach", [0.02, 0.05])
def test_independent_matches_agree_as_the_binomial_says(reach: float) -> None:
    """Positions, angles and scales are drawn at random; the map that they may agree with is fixed.

    The windows are those of the kernel: so many degrees and octaves, and a circle around the place.
    """
    rng = np.random.default_rng(7)
    matches, draws = 200, 3000
    query, found = random_frames(rng, matches * draws), random_frames(rng, matches * draws)
    # A map that carries the middle of the query into the middle of the image, so that circles stay
    # inside.
    query[:, :2] = rng.uniform((280, 200), (360, 280), (matches * draws, 2))
    middle = np.array([[WIDTH / 2, HEIGHT / 2]])
    H = SIMILARITY.copy()
    H[:2, 2] += (middle - carried(middle, H))[0]
    there = frames_under(H, query)
    radius = reach * WIDTH
    near = np.linalg.norm(there[:, :2] - found[:, :2], axis=1) <= radius
    turn = np.abs((there[:, 3] - found[:, 3] + 180) % 360 - 180)
    octaves = np.abs(np.log2(there[:, 2] / found[:, 2]))
    agreeing = (near & (turn <= DEGREES) & (octaves <= OCTAVES)).reshape(draws, matches).sum(1)
    # Scales lie evenly within 4 octaves, in both pictures; the map's own change moves one of them.
    grid = np.linspace(0, 4, 4001)
    shift = np.log2(0.8)
    low = np.clip(grid + shift - OCTAVES, 0, 4)
    high = np.clip(grid + shift + OCTAVES, 0, 4)
    by_scale = ((high - low) / 4).mean()
    by_place = np.pi * radius**2 / (WIDTH * HEIGHT)
    probability = by_place * (2 * DEGREES / 360) * by_scale
    expected = matches * probability
    sigma = np.sqrt(matches * probability * (1 - probability) / draws)
    assert abs(agreeing.mean() - expected) < 4 * sigma
    law = stats.binom(matches, probability)
    most = int(law.ppf(1 - 20 / draws))
    seen = np.bincount(np.minimum(agreeing, most), minlength=most + 1)
    wanted = draws * np.append(law.pmf(np.arange(most)), law.sf(most - 1))
    assert stats.chisquare(seen, wanted).pvalue > 1e-4


def test_a_match_agrees_by_chance_about_as_often_as_assumed() -> None:
    """In place within the narrow circle; the assumption is on the side of caution."""
    by_place = np.pi * TIGHT**2 * WIDTH / HEIGHT
    probability = by_place * (2 * DEGREES / 360) * (2 * OCTAVES / 4)
    assert probability < AGREES < 100 * probability


# What SIFT could have seen


@pytest.mark.parametrize("stretch", [1.0, 2.5, 4.0, 10.0])
@pytest.mark.parametrize("kind", PLANTED)
def test_what_sift_could_not_see_is_implausible(kind: str, stretch: float) -> None:
    H = PLANTED[kind] @ np.diag([1.0, 1 / stretch, 1.0])
    matches = exact(H, 40)
    assert is_plausible(H, matches.query, matches.found) == (stretch < 3)


@pytest.mark.parametrize(("octaves", "plausible"), [(0.0, True), (0.5, True), (0.9, False)])
def test_features_change_size_as_the_map_does(octaves: float, plausible: bool) -> None:
    matches = exact(AFFINE, 40)
    matches.found[:, 2] *= 2**octaves
    assert is_plausible(AFFINE, matches.query, matches.found) == plausible
