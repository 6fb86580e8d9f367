"""The contents of an index or a vocabulary on disk, as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bovw.compute.text import one_line, printable
from bovw.errors import FormatError
from bovw.index import Index, is_index
from bovw.search import Searcher
from bovw.vocab import damaged_files, read_manifest


def describe_folder(folder: Path) -> dict[str, Any]:
    """Describe the index or vocabulary in `folder`; `damaged` lists files with wrong checksums.

    Raises FormatError if it is neither, or cannot be opened.
    """
    if is_index(folder):
        return _index(Index.open(folder))
    if (folder / "manifest.json").is_file():
        return _vocabulary(folder)
    raise FormatError(f"{folder} is neither an index nor a vocabulary: give the folder of one")


def _index(index: Index) -> dict[str, Any]:
    files = index.bytes()
    total = sum(files.values())
    rows = index.images()
    return {
        "kind": "index",
        "format": index.meta["format"],
        "images": len(index),
        "skipped": {row.name: row.reason for row in rows if row.status != "ok"},
        "features": index.features,
        "words": index.meta["words"],
        "bits": index.meta["bits"],
        "linked": "graph" in index.meta,
        "calibrated": _calibration(index),
        "segments": len(index.segments),
        "removed": index.removed,
        "bytes": total,
        "bytes_per_image": total / max(len(index), 1),
        "bytes_per_feature": total / max(index.features, 1),
        "files": files,
        "options": index.meta["options"],
        "vocabulary": index.meta["fingerprint"],
        "damaged": index.damaged_files(),
    }


def _calibration(index: Index) -> dict[str, Any] | None:
    """Describe what decoys found; None if they were never asked."""
    if index.decoys is None:
        return None
    factor = Searcher(index).calibration.factor
    return {"decoys": index.decoys.asked, "images": index.decoys.images, "factor": factor}


def _vocabulary(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder)
    files = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    return {
        "kind": "vocabulary",
        "format": manifest["format"],
        "words": manifest["settings"]["words"],
        "bits": manifest["bits"],
        "bytes": sum(files.values()),
        "files": files,
        "settings": manifest["settings"],
        "vocabulary": manifest["fingerprint"],
        "damaged": damaged_files(folder),
    }


def as_text(content: dict[str, Any]) -> str:
    """Return a description as text."""
    lines = [f"{content['kind']}, format {content['format']}"]
    counts = ("images", "features", "words", "bits", "bytes")
    lines += [f"{key:<18}{content[key]:>14,}" for key in counts if key in content]
    skipped = content.get("skipped", {})
    if skipped:
        lines.insert(2, f"{'skipped':<18}{len(skipped):>14,}")
    if content["kind"] == "index":
        lines.append(f"{'chance':<18}{_chance(content['calibrated']):>14}")
    ratios = ("bytes_per_image", "bytes_per_feature")
    lines += [f"{_label(key):<18}{content[key]:>14,.1f}" for key in ratios if key in content]
    settings = content.get("options") or content.get("settings", {})
    lines += [f"{_label(key):<18}{value:>14}" for key, value in settings.items()]
    lines += [f"  {size:>14,}  {printable(name)}" for name, size in content["files"].items()]
    lines += [
        f"skipped {printable(n)}: {one_line(why)}" for n, why in content.get("skipped", {}).items()
    ]
    lines += [f"damaged {printable(name)}" for name in content["damaged"]]
    lines.append("checksums do not hold" if content["damaged"] else "checksums hold")
    return "\n".join(lines)


def _chance(calibrated: dict[str, Any] | None) -> str:
    if calibrated is None:
        return "never measured: see `bovw calibrate`"
    return f"{calibrated['factor']:.2f} of the usual, by {calibrated['decoys']:,} decoys"


def _label(key: str) -> str:
    return key.replace("_", " ")
