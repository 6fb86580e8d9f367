"""Just-in-time kernels that score one segment's postings.

They add to `scores` [images], and return False if a damaged file names an image that does not
exist. `file` is the segment's inverted file.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import boolean, float64, int32, types, uint8, uint64

from bovw.compute.jit import array, differing_bits, helper, kernel
from bovw.compute.kernels import INVERTED_FILE, fetch_lists, next_image
from bovw.records import Bytes, Doubles, Ints, Signatures

# Bins for the turn between two pictures.
TURNS = 16


@helper
def _majority(signatures, into):  # type: ignore[no-untyped-def]
    """Set each bit that at least half of the signatures [n, bits / 64] have."""
    one = np.uint64(1)
    for part in range(signatures.shape[1]):
        bits = np.uint64(0)
        for bit in range(64):
            mask = one << np.uint64(bit)
            count = 0
            for k in range(len(signatures)):
                if signatures[k, part] & mask:
                    count += 1
            if 2 * count >= len(signatures):
                bits |= mask
        into[part] = bits


@kernel(INVERTED_FILE, array(int32), array(float64), float64[::1])
def add_tfidf(file, words, weights, scores):  # type: ignore[no-untyped-def]
    """Add each word's weight once to every image that has the word."""
    for i in range(len(words)):
        last, image = -1, 0
        place, end = file.places[words[i]], file.places[words[i] + 1]
        for _ in range(file.offsets[words[i]], file.offsets[words[i] + 1]):
            image, place = next_image(file.gaps, place, end, image)
            if not 0 <= image < len(scores):
                return False
            if image == last:
                continue
            scores[image] += weights[i]
            last = image
    return True


class Voters(NamedTuple):
    """The voting features of a query; all arrays are read-only.

    words       int32 [n, m], -1 for none
    signatures  uint64 [n, m, bits / 64]
    angles      uint8 [n]: 256ths of a turn, as frames[:, 1] are
    weights     float64 [n, m]
    """

    words: Ints
    signatures: Signatures
    angles: Bytes
    weights: Doubles


VOTERS = types.NamedTuple(
    (array(int32, 2), array(uint64, 3), array(uint8), array(float64, 2)), Voters
)


@kernel(INVERTED_FILE, VOTERS, array(float64), boolean, float64[:, ::1])
def vote_by_turn(file, query, votes, once, turned):  # type: ignore[no-untyped-def]
    """Let every query feature vote for the images that have matches.

    votes   float64 [bits + 1] by Hamming distance
    once    whether an image gets only a feature's strongest vote
    turned  float64 [images, TURNS]: votes are added by turn
    """
    words = query.words
    strongest = np.zeros(len(turned))
    its_turn = np.empty(len(turned), np.int8)
    voted_for = np.empty(len(turned), np.int32)
    for i in range(words.shape[0]):
        fetch_lists(file, words, i)
        voted = 0
        for j in range(words.shape[1]):
            word = words[i, j]
            if word < 0:
                continue
            image = 0
            place, end = file.places[word], file.places[word + 1]
            for posting in range(file.offsets[word], file.offsets[word + 1]):
                image, place = next_image(file.gaps, place, end, image)
                if not 0 <= image < len(turned):
                    return False
                vote = (
                    votes[differing_bits(query.signatures[i, j], file.signatures[posting])]
                    * query.weights[i, j]
                )
                # This skips NaN, too, which would list an image twice.
                if not vote > 0.0:
                    continue
                angle = np.int64(file.frames[posting, 1]) - np.int64(query.angles[i])
                turn = ((angle + 128 // TURNS) & 255) // (256 // TURNS)
                if not once:
                    turned[image, turn] += vote
                    continue
                if strongest[image] == 0.0:
                    voted_for[voted] = image
                    voted += 1
                if vote > strongest[image]:
                    strongest[image] = vote
                    its_turn[image] = turn
        for k in range(voted):
            image = voted_for[k]
            turned[image, its_turn[image]] += strongest[image]
            strongest[image] = 0.0
    return True


@helper
def _agreeing(votes):  # type: ignore[no-untyped-def]
    """Return the most votes of three adjacent turns; those around turn 0 count 1.5 times."""
    most = 1.5 * (votes[TURNS - 1] + votes[0] + votes[1])
    for turn in range(1, TURNS):
        most = max(most, votes[turn - 1] + votes[turn] + votes[(turn + 1) % TURNS])
    return most


@kernel(float64[:, ::1], boolean, float64[::1])
def add_turned(turned, agree, scores):  # type: ignore[no-untyped-def]
    """Add up each image's votes [images, TURNS]; if `agree`, the best turn's votes count thrice."""
    for image in range(len(scores)):
        scores[image] += turned[image].sum()
        if agree:
            scores[image] += 2.0 * _agreeing(turned[image])


@kernel(INVERTED_FILE, array(int32), array(uint64, 2), array(float64), float64[::1])
def add_asmk(file, words, query, votes, scores):  # type: ignore[no-untyped-def]
    """Compare the query's aggregated signature in a word with each image's.

    words  int32 [k], `query` uint64 [k, bits / 64], `votes` float64 [bits + 1] by distance
    """
    aggregated = np.empty(file.signatures.shape[1], np.uint64)
    for i in range(len(words)):
        posting, last = file.offsets[words[i]], file.offsets[words[i] + 1]
        place, end = file.places[words[i]], file.places[words[i] + 1]
        following = 0
        if posting < last:
            following, place = next_image(file.gaps, place, end, following)
        while posting < last:
            start, image = posting, following
            if not 0 <= image < len(scores):
                return False
            while posting < last and following == image:
                posting += 1
                if posting < last:
                    following, place = next_image(file.gaps, place, end, following)
            if posting - start == 1:
                distance = differing_bits(query[i], file.signatures[start])
            else:
                _majority(file.signatures[start:posting], aggregated)
                distance = differing_bits(query[i], aggregated)
            scores[image] += votes[distance]
    return True
