"""Just-in-time kernels that find tentative matches in one segment."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import int32, int64, types, uint64

from bovw.compute.jit import array, differing_bits, helper, kernel
from bovw.compute.kernels import INVERTED_FILE, fetch_lists, next_image
from bovw.records import Ints, Longs, Signatures

# Bits of a match's rank below its distance.
TURN_BITS = 20


class Asking(NamedTuple):
    """The features of a query that look for matches; all arrays are read-only.

    words       int32 [n, m], -1 for none
    signatures  uint64 [n, m, bits / 64]: in these words
    turns       int64 [n]: how many earlier features have the same nearest word
    """

    words: Ints
    signatures: Signatures
    turns: Longs


ASKING = types.NamedTuple((array(int32, 2), array(uint64, 3), array(int64)), Asking)


@helper
def _by_slot(found, starts):  # type: ignore[no-untyped-def]
    """Sort rows by their first column and drop it; the rows of slot s begin at starts[s]."""
    free = starts.copy()
    ordered = np.empty((len(found), found.shape[1] - 1), np.int64)
    for row in found:
        ordered[free[row[0]]] = row[1:]
        free[row[0]] += 1
    return ordered


@helper
def _make_room(found, most, bars):  # type: ignore[no-untyped-def]
    """Drop the rows that are not among the `most` closest of their slot; keep the others' order.

    found  int64 [n, 4]: slot, feature, posting and rank. The first of equal rank are kept
    bars   int64 [slots]: no rank from here on is among the closest; lowered

    Returns how many rows are left, and the array, twice as long if they fill half of it.
    """
    starts = np.zeros(len(bars) + 1, np.int64)
    for row in found:
        starts[row[0] + 1] += 1
    starts = np.cumsum(starts)
    ranks = _by_slot(found, starts)[:, 2].copy()
    room = np.full(len(bars), most)
    for slot in range(len(bars)):
        own = ranks[starts[slot] : starts[slot + 1]]
        if len(own) > most:
            bars[slot] = np.partition(own, most - 1)[most - 1]
            room[slot] -= (own < bars[slot]).sum()
    count = 0
    for row in found:
        slot = row[0]
        if row[3] == bars[slot]:
            room[slot] -= 1
        if row[3] < bars[slot] or (row[3] == bars[slot] and room[slot] >= 0):
            found[count] = row
            count += 1
    if 2 * count > len(found):
        found = np.concatenate((found, np.empty_like(found)))
    return count, found


@helper
def _closest(found, totals, most, bars):  # type: ignore[no-untyped-def]
    """Return where each slot's matches start, and the `most` closest of each, sorted by slot.

    They lose their slot and get a distance for their rank.
    """
    count = len(found)
    if count and totals.max() > most:
        count, found = _make_room(found, most, bars)
    found[:count, 3] >>= TURN_BITS
    starts = np.append(0, np.cumsum(np.minimum(totals, most)))
    return starts, _by_slot(found[:count], starts)


@kernel(INVERTED_FILE, ASKING, array(int32), int64, int64)
def find_matches(file, query, slots, limit, most):  # type: ignore[no-untyped-def]
    """Find the postings close to each query feature, sorted by candidate.

    file     the segment's inverted file
    slots    int32 [images]: each image's place among the candidates, -1 for other images
    limit    greatest Hamming distance
    most     matches kept of a candidate, the closest. Of equally close ones, the first feature goes
             with the image's first posting in a word, and so on: a picture matches itself

    Returns (starts, totals, matches int64 [n, 3]). Candidate c had totals[c] matches, of which
    starts[c] to starts[c + 1] are kept. Each is the row of a query feature, a posting and their
    distance. starts is empty if the gaps are damaged.
    """
    words = query.words
    totals = np.zeros(slots.max() + 1, np.int64)
    bars = np.full(len(totals), np.iinfo(np.int64).max)
    # A match's slot, feature, posting and rank: how far from the closest it is.
    found = np.empty((1024, 4), np.int64)
    count = 0
    # The candidates' postings of one list.
    own, owners = np.empty(0, np.int64), np.empty(0, np.int32)
    for i in range(words.shape[0]):
        fetch_lists(file, words, i)
        for j in range(words.shape[1]):
            word = words[i, j]
            if word < 0:
                continue
            image, wanted = 0, 0
            place, end = file.places[word], file.places[word + 1]
            if file.offsets[word + 1] - file.offsets[word] > len(own):
                own = np.empty(file.offsets[word + 1] - file.offsets[word], np.int64)
                owners = np.empty(len(own), np.int32)
            for posting in range(file.offsets[word], file.offsets[word + 1]):
                image, place = next_image(file.gaps, place, end, image)
                if not 0 <= image < len(slots):
                    return totals[:0], totals, found[:0]
                # Always written, which is quicker than a branch; few are kept.
                own[wanted] = posting
                owners[wanted] = slots[image]
                wanted += slots[image] >= 0
            turn = 0
            for k in range(wanted):
                posting, slot = own[k], owners[k]
                turn = turn + 1 if k and slot == owners[k - 1] else 0
                distance = differing_bits(query.signatures[i, j], file.signatures[posting])
                if distance > limit:
                    continue
                totals[slot] += 1
                apart = min(abs(turn - query.turns[i]), (1 << TURN_BITS) - 1)
                rank = (distance << TURN_BITS) + apart
                if rank >= bars[slot]:
                    continue
                if count == len(found):
                    count, found = _make_room(found, most, bars)
                found[count, 0], found[count, 1] = slot, i
                found[count, 2], found[count, 3] = posting, rank
                count += 1
    starts, matches = _closest(found[:count], totals, most, bars)
    return starts, totals, matches
