"""Ways to damage a file of an index."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bovw.index.catalog import FILE

# The catalog gets as many flips as this many other files: its structure is more complex.
CATALOG_SHARE = 6


class Damage(NamedTuple):
    """Damage to one file of an index: `kind` at a place, or with another file."""

    kind: str
    file: str
    place: int = 0
    value: int = 0
    other: str = ""


def planned(index: Path, files: list[str], flips: int, rng: random.Random) -> Iterator[Damage]:
    """Yield the flips, the same number for each file, and then all other damage."""
    each = -(-flips // (len(files) + CATALOG_SHARE - 1))
    for file in files:
        size = (index / file).stat().st_size
        for _ in range(each * (CATALOG_SHARE if file == FILE else 1)):
            yield Damage("flipped", file, rng.randrange(size), 1 << rng.randrange(8))
    for file in files:
        size = (index / file).stat().st_size
        yield Damage("cut", file, rng.randrange(1, size))
        yield Damage("emptied", file)
        yield Damage("removed", file)
        yield Damage("longer", file, value=rng.randrange(256))
        yield Damage("another folder's", file)
        other = rng.choice([other for other in files if other != file])
        yield Damage("swapped", file, other=other)
        twins = [o for o in files if Path(o).name == Path(file).name and o != file]
        if twins:
            yield Damage("swapped", file, other=rng.choice(twins))


def inflict(damage: Damage, index: Path) -> None:
    """Damage an index."""
    path = index / damage.file
    content = path.read_bytes()
    if damage.kind == "flipped":
        data = bytearray(content)
        data[damage.place] ^= damage.value
        path.write_bytes(data)
    elif damage.kind in ("cut", "emptied"):
        path.write_bytes(content[: damage.place])
    elif damage.kind == "removed":
        path.unlink()
    elif damage.kind == "longer":
        path.write_bytes(content + bytes([damage.value]))
    elif damage.kind == "another folder's":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes((index / damage.other).read_bytes())
        (index / damage.other).write_bytes(content)


def sampled(found: list[Damage], rng: random.Random, size: int = 40) -> list[Damage]:
    """Return a sample of the damage to repair, half of it to the catalog."""
    catalog = [damage for damage in found if damage.file == FILE]
    other = [damage for damage in found if damage.file != FILE]
    return [d for group in (catalog, other) for d in rng.sample(group, min(size // 2, len(group)))]
