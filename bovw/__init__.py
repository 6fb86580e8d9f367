"""bovw: find the same thing in photographs by its local features.

The public names below load what they need on first use, so that `import bovw` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bovw.errors import BovwError as BovwError
    from bovw.index import Index as Index
    from bovw.records import Box as Box
    from bovw.records import Features as Features
    from bovw.records import Hit as Hit
    from bovw.search import Searcher as Searcher
    from bovw.vocab import Vocabulary as Vocabulary

_HOMES = {
    "BovwError": "bovw.errors",
    "Box": "bovw.records",
    "Features": "bovw.records",
    "Hit": "bovw.records",
    "Index": "bovw.index",
    "Searcher": "bovw.search",
    "Vocabulary": "bovw.vocab",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bovw' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
