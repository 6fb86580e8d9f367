"""Verification of one image's tentative matches by a planar transform.

Every match proposes the similarity that carries its query frame onto its database frame (Philbin et
al., CVPR 2007, section 3.2). So nothing is drawn at random: all are tried, by descending weight.
The best is refined on its inliers (Chum, Matas, Kittler, "Locally optimized RANSAC", DAGM 2003) to
an affine map, then to a homography if that explains more.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import float64

from bovw.compute.jit import array, helper, kernel
from bovw.records import Bools, Doubles, Longs

# Similarities tried; the remaining matches weigh less.
HYPOTHESES = 200
# Greatest distance of a mapped point from its match, as a share of either picture's longest side:
# wide for a similarity read off one frame, narrow for a map fitted to many.
LOOSE = 0.03
TIGHT = 0.012
ROUNDS = 5
# Cells along a picture's longest side. A cell, 2 pixels of 1,024, is one place: SIFT finds several
# orientations and scales at one spot, which prove no more than one.
GRID = 512
# Greatest difference of a match's own scale change (in octaves) and turn (in degrees) to the map's.
OCTAVES = 1.0
DEGREES = 30.0
# Inliers needed before a homography's two further unknowns are fitted.
HOMOGRAPHY_INLIERS = 12
# Weight of the previous map in a fit, per match. It decides what the inliers leave open, as when
# they lie on one line.
RIDGE = 1e-3


class Pairs(NamedTuple):
    """Tentative matches, and those compatible with one hypothesis.

    query, found  float64 [n, 4]: x, y, scale, angle
    weights       float64 [n]
    ends          int64 [n, 2]: a match's place in either picture
    close         bool [n]: the matches with about the scale change and turn of the hypothesis
    """

    query: Doubles
    found: Doubles
    weights: Doubles
    ends: Longs
    close: Bools


@helper
def _refine(model, pairs, side, inliers):  # type: ignore[no-untyped-def]
    """Fit an affine map to ever closer inliers, then a homography if that explains more."""
    for step in range(ROUNDS):
        reach = side * (LOOSE + (TIGHT - LOOSE) * min(1.0, (step + 1) / (ROUNDS - 2)))
        model = _fit(model, pairs, inliers, 6)
        inliers = _inliers(model, pairs, reach)
    if inliers.sum() < HOMOGRAPHY_INLIERS:
        return model, inliers
    bent, agreeing = model, inliers
    for _ in range(ROUNDS):
        bent = _fit(bent, pairs, agreeing, 8)
        agreeing = _inliers(bent, pairs, TIGHT * side)
    if pairs.weights[agreeing].sum() >= pairs.weights[inliers].sum():
        return bent, agreeing
    return model, inliers


@helper
def _similarity(query, found, octaves, degrees):  # type: ignore[no-untyped-def]
    """Return the similarity [3, 3] that carries one frame onto another."""
    scale, turn = 2.0**octaves, np.radians(degrees)
    a, b = scale * np.cos(turn), scale * np.sin(turn)
    model = np.eye(3)
    model[0, 0], model[0, 1], model[0, 2] = a, -b, found[0] - a * query[0] + b * query[1]
    model[1, 0], model[1, 1], model[1, 2] = b, a, found[1] - b * query[0] - a * query[1]
    return model


@helper
def _mark_compatible(octaves, degrees, weights, i, close):  # type: ignore[no-untyped-def]
    """Mark the matches with about the scale change and turn of match `i`; return their weight."""
    total = 0.0
    for j in range(len(octaves)):
        # Below 720: the difference of two differences of angles.
        turn = abs(degrees[j] - degrees[i])
        turn = min(turn, abs(360.0 - turn), abs(720.0 - turn))
        close[j] = turn <= DEGREES and abs(octaves[j] - octaves[i]) <= OCTAVES
        if close[j]:
            total += weights[j]
    return total


@helper
def _inliers(model, pairs, reach):  # type: ignore[no-untyped-def]
    """Tell which matches `model` maps to within `reach`; one to one, earlier matches first."""
    query, found, ends, close = pairs.query, pairs.found, pairs.ends, pairs.close
    inliers = np.zeros(len(ends), np.bool_)
    taken = np.zeros((len(ends), 2), np.bool_)
    for j in range(len(ends)):
        if not close[j]:
            continue
        x, y = query[j, 0], query[j, 1]
        depth = model[2, 0] * x + model[2, 1] * y + model[2, 2]
        if depth <= 0:
            continue
        right = (model[0, 0] * x + model[0, 1] * y + model[0, 2]) / depth - found[j, 0]
        down = (model[1, 0] * x + model[1, 1] * y + model[1, 2]) / depth - found[j, 1]
        near = right * right + down * down <= reach * reach
        if near and not taken[ends[j, 0], 0] and not taken[ends[j, 1], 1]:
            inliers[j] = taken[ends[j, 0], 0] = taken[ends[j, 1], 1] = True
    return inliers


@helper
def _places(points, side):  # type: ignore[no-untyped-def]
    """Return the number of each point's cell in the fine grid: int64 [n]."""
    cells = np.floor(points[:, :2] * (GRID / side))
    keys = cells[:, 0] * (4.0 * GRID) + cells[:, 1]
    return np.searchsorted(np.unique(keys), keys)


@helper
def _fit(model, pairs, inliers, unknowns):  # type: ignore[no-untyped-def]
    """Fit an affine map (6 unknowns) or a homography (8) to the inliers by least squares.

    Coordinates are centred and scaled first (Hartley, PAMI 1997). The ridge keeps the solution near
    `model`. Returns `model` if the fit folds the picture over.
    """
    query, found, rows = pairs.query, pairs.found, np.flatnonzero(inliers)
    if len(rows) < 3:
        return model
    to_query, to_found = _normaliser(query[rows]), _normaliser(found[rows])
    start = _product(_product(to_found, model), _inverse(to_query))
    prior = (start / start[2, 2]).copy().reshape(9)[:unknowns].copy()
    normal = np.eye(unknowns) * (RIDGE * len(rows))
    right = prior * (RIDGE * len(rows))
    equation = np.empty(8)
    for row in rows:
        x = to_query[0, 0] * query[row, 0] + to_query[0, 2]
        y = to_query[1, 1] * query[row, 1] + to_query[1, 2]
        u = to_found[0, 0] * found[row, 0] + to_found[0, 2]
        v = to_found[1, 1] * found[row, 1] + to_found[1, 2]
        for first, value in ((0, u), (3, v)):
            equation[:6] = 0.0
            equation[first], equation[first + 1], equation[first + 2] = x, y, 1.0
            equation[6], equation[7] = -value * x, -value * y
            for i in range(unknowns):
                right[i] += equation[i] * value
                for j in range(unknowns):
                    normal[i, j] += equation[i] * equation[j]
    solution = np.eye(3)
    _solve(normal, right)
    for i in range(unknowns):
        solution[i // 3, i % 3] = right[i]
    if _determinant(solution) <= 0:
        return model
    fitted = _product(_product(_inverse(to_found), solution), to_query)
    return fitted / fitted[2, 2] if fitted[2, 2] > 0 else model


# Small matrices by hand: LAPACK takes locks and memory of its own, and its last digits are the
# processor's.


@helper
def _solve(normal, right):  # type: ignore[no-untyped-def]
    """Replace `right` [n] by the solution of a symmetric positive definite system [n, n].

    By Cholesky's decomposition, which replaces the lower half of `normal`.
    """
    for i in range(len(right)):
        for j in range(i + 1):
            rest = normal[i, j]
            for k in range(j):
                rest -= normal[i, k] * normal[j, k]
            normal[i, j] = np.sqrt(rest) if i == j else rest / normal[j, j]
        for k in range(i):
            right[i] -= normal[i, k] * right[k]
        right[i] /= normal[i, i]
    for i in range(len(right) - 1, -1, -1):
        for k in range(i + 1, len(right)):
            right[i] -= normal[k, i] * right[k]
        right[i] /= normal[i, i]


@helper
def _product(a, b):  # type: ignore[no-untyped-def]
    """Return the product of two matrices [3, 3]."""
    product = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            product[i, j] = a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j]
    return product


@helper
def _determinant(m):  # type: ignore[no-untyped-def]
    return (
        m[0, 0] * (m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1])
        - m[0, 1] * (m[1, 0] * m[2, 2] - m[1, 2] * m[2, 0])
        + m[0, 2] * (m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0])
    )


@helper
def _inverse(normaliser):  # type: ignore[no-untyped-def]
    """Return the inverse of a map of `_normaliser`."""
    scale, right, down = normaliser[0, 0], normaliser[0, 2], normaliser[1, 2]
    return np.array(
        [[1 / scale, 0.0, -right / scale], [0.0, 1 / scale, -down / scale], [0.0, 0.0, 1.0]]
    )


@helper
def _normaliser(points):  # type: ignore[no-untyped-def]
    """Return the map [3, 3] that brings points to mean 0 and mean square 1 per axis."""
    x, y = points[:, 0].mean(), points[:, 1].mean()
    spread = np.sqrt((((points[:, 0] - x) ** 2 + (points[:, 1] - y) ** 2) / 2).mean())
    scale = 1.0 / max(spread, 1e-9)
    return np.array([[scale, 0.0, -scale * x], [0.0, scale, -scale * y], [0.0, 0.0, 1.0]])


@kernel(array(float64, 2), array(float64, 2), array(float64), float64, float64)
def find_transform(query, found, weights, query_side, found_side):  # type: ignore[no-untyped-def]
    """Find the transform whose agreeing matches weigh most.

    query, found  float64 [n, 4]: x, y, scale, angle; by descending weight
    weights       float64 [n]
    query_side, found_side  longest sides of the two pictures in pixels

    Returns (transform float64 [3, 3], query to found; inliers bool [n]). No two inliers lie at the
    same place in either picture: they are one to one, and a spot with many features counts once.
    """
    octaves = np.log2(found[:, 2] / query[:, 2])
    degrees = found[:, 3] - query[:, 3]
    ends = np.stack((_places(query, query_side), _places(found, found_side)), axis=1)
    best = np.eye(3)
    inliers = np.zeros(len(weights), np.bool_)
    close = np.empty(len(weights), np.bool_)
    pairs = Pairs(query, found, weights, ends, close)
    best_weight, chosen = 0.0, -1
    for i in range(min(len(weights), HYPOTHESES)):
        # A match that the best map explains would propose it again.
        if inliers[i]:
            continue
        if _mark_compatible(octaves, degrees, weights, i, close) <= best_weight:
            continue
        model = _similarity(query[i], found[i], octaves[i], degrees[i])
        reach = LOOSE * min(found_side, query_side * 2.0 ** octaves[i])
        agreeing = _inliers(model, pairs, reach)
        weight = weights[agreeing].sum()
        if weight > best_weight:
            best_weight, chosen = weight, i
            best, inliers = model, agreeing
    if chosen < 0:
        return best, inliers
    _mark_compatible(octaves, degrees, weights, chosen, close)
    side = min(found_side, query_side * 2.0 ** octaves[chosen])
    return _refine(best, pairs, side, inliers)
