"""Just-in-time kernels that all stages share: image numbers of postings, in about a byte each.

The image numbers of a word's postings ascend. Each is kept as its gap to the one before, the first
as its gap to 0. A byte has 7 bits of a gap, the lowest first; its high bit says that another byte
follows (Witten, Moffat, Bell, "Managing gigabytes", 1999, section 3.3). One of 65,536 words is in
every 26th image of 2,500 features, in an index of any size, so nearly all gaps fit one byte.
"""

from __future__ import annotations

import numpy as np
from numba import boolean, int32, int64, types, uint8, uint64

from bovw.compute.jit import array, helper, kernel, prefetch
from bovw.records import InvertedFile

MORE = 128
INVERTED_FILE = types.NamedTuple(
    (array(int64), array(int64), array(uint8), array(uint64, 2), array(uint8, 2), int64),
    InvertedFile,
)


@helper
def next_image(gaps, place, end, image):  # type: ignore[no-untyped-def]
    """Return the image number after `image` and the place after its gap; -1 for a damaged gap."""
    if place >= end:
        return -1, place
    byte = np.int64(gaps[place])
    place += 1
    gap = byte & (MORE - 1)
    shift = 7
    while byte >= MORE:
        if place >= end or shift > 28:
            return -1, place
        byte = np.int64(gaps[place])
        place += 1
        gap |= (byte & (MORE - 1)) << shift
        shift += 7
    return image + gap, place


@helper
def fetch_lists(file, words, i):  # type: ignore[no-untyped-def]
    """Prefetch the lists of the features after the i-th of words [n, m].

    Lists lie anywhere in the index, and waiting for memory takes as long as reading a short list.
    The places of feature i + 2 are fetched first, so that its lists can be fetched next.
    """
    if i + 2 < len(words):
        for word in words[i + 2]:
            prefetch(file.offsets, word)
            prefetch(file.places, word)
    if i + 1 < len(words):
        for word in words[i + 1]:
            prefetch(file.gaps, file.places[word])
            first = file.offsets[word] * file.signatures.shape[1]
            prefetch(file.signatures, first)
            prefetch(file.signatures, first + 8)


@kernel(array(int64), array(int32))
def encode_images(offsets, images):  # type: ignore[no-untyped-def]
    """Return the gaps of the images [n] of postings sorted by word, and each word's place in them.

    Returns (gaps uint8 [m], places int64 [words + 1]).
    """
    gaps = np.empty(5 * len(images), np.uint8)
    places = np.zeros(len(offsets), np.int64)
    place = 0
    for word in range(len(offsets) - 1):
        before = 0
        for posting in range(offsets[word], offsets[word + 1]):
            gap = images[posting] - before
            before = images[posting]
            while gap >= MORE:
                gaps[place] = gap & (MORE - 1) | MORE
                gap >>= 7
                place += 1
            gaps[place] = gap
            place += 1
        places[word + 1] = place
    return gaps[:place].copy(), places


@kernel(INVERTED_FILE)
def decode_images(file):  # type: ignore[no-untyped-def]
    """Return the image of every posting: int32 [n], empty if a gap is damaged."""
    decoded = np.empty(file.offsets[-1], np.int32)
    for word in range(len(file.offsets) - 1):
        image = 0
        place = file.places[word]
        for posting in range(file.offsets[word], file.offsets[word + 1]):
            image, place = next_image(file.gaps, place, file.places[word + 1], image)
            if not 0 <= image < file.images:
                return decoded[:0]
            decoded[posting] = image
    return decoded


@kernel(INVERTED_FILE, array(boolean))
def count_images(file, live):  # type: ignore[no-untyped-def]
    """Count the words and features of a segment's live [images], without decoding it whole.

    Returns (frequencies int64 [words]: images that have each word; features, distinct int32
    [images]: postings and different words of each image), all empty if the gaps are damaged.
    """
    frequencies = np.zeros(len(file.offsets) - 1, np.int64)
    features = np.zeros(len(live), np.int32)
    distinct = np.zeros(len(live), np.int32)
    for word in range(len(file.offsets) - 1):
        last, image = -1, 0
        place = file.places[word]
        for _ in range(file.offsets[word], file.offsets[word + 1]):
            image, place = next_image(file.gaps, place, file.places[word + 1], image)
            if not 0 <= image < len(live):
                return frequencies[:0], features[:0], distinct[:0]
            if not live[image]:
                continue
            features[image] += 1
            if image != last:
                frequencies[word] += 1
                distinct[image] += 1
            last = image
    return frequencies, features, distinct


@kernel(INVERTED_FILE, array(int32))
def find_postings(file, slots):  # type: ignore[no-untyped-def]
    """Find the postings of some images.

    slots  int32 [images]: each image's place among the wanted ones, -1 for the others

    Returns (starts int64 [k + 1], postings int64): the k-th image has those from starts[k] to
    starts[k + 1]; starts is empty if the gaps are damaged.
    """
    starts = np.zeros(slots.max() + 2, np.int64)
    owners, found = np.empty(0, np.int32), np.empty(0, np.int64)
    count = 0
    for word in range(len(file.offsets) - 1):
        image = 0
        place, end = file.places[word], file.places[word + 1]
        # Room for a whole list, though nearly all of it is skipped.
        room = count + file.offsets[word + 1] - file.offsets[word]
        if room > len(found):
            owners = np.concatenate((owners, np.empty(room, np.int32)))
            found = np.concatenate((found, np.empty(room, np.int64)))
        for posting in range(file.offsets[word], file.offsets[word + 1]):
            image, place = next_image(file.gaps, place, end, image)
            if not 0 <= image < len(slots):
                return starts[:0], found[:0]
            # Always written, which is faster than a branch.
            owners[count], found[count] = slots[image], posting
            count += slots[image] >= 0
    for owner in owners[:count]:
        starts[owner + 1] += 1
    starts = np.cumsum(starts)
    postings = np.empty(count, np.int64)
    free = starts.copy()
    for i in range(count):
        postings[free[owners[i]]] = found[i]
        free[owners[i]] += 1
    return starts, postings
