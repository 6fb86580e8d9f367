"""What the last commit of an index holds, as its writer sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bovw.index.checksums import component_files, damaged_among
from bovw.index.components import COMPONENTS
from bovw.index.leftovers import remove_left_over, unused


@dataclass(frozen=True)
class Committed:
    """A commit: the catalog's meta and the numbers of its segments; empty before the first."""

    folder: Path
    meta: dict[str, Any] = field(default_factory=dict)
    segments: tuple[int, ...] = ()

    @property
    def vocabulary(self) -> str | None:
        """The name of the folder of its vocabulary."""
        return self.meta.get("vocabulary")

    def other_vocabulary(self, fingerprint: str) -> str:
        """Return another name for it: they take turns, one digit longer or shorter."""
        names = [f"vocabulary-{fingerprint[:length]}" for length in (16, 17)]
        return names[self.vocabulary == names[0]]

    def damaged(self) -> set[str]:
        """Return the components that are missing or differ from their checksums."""
        return {kind for kind in COMPONENTS if kind in self.meta and not self._is_whole(kind)}

    def remove_others(self) -> None:
        """Remove what bovw wrote to the folder and the commit does not name."""
        for path in unused(self.folder, self.meta, self.segments):
            remove_left_over(path)

    def _is_whole(self, kind: str) -> bool:
        files = component_files(self.meta, kind)
        return bool(files) and not damaged_among(self.folder, files)
