"""Variants of an index that somebody made to do harm, with checksums that fit."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np

from bovw.compute.files import file_sha256, is_regular
from bovw.index.catalog import FILE, Catalog
from bovw.index.manifest import MANIFEST

Rng = random.Random
# Values where a number, a name or a mapping is expected.
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 7, 2**31, 2**63 - 1, 2**63, -(2**70), 0.5, -0.5, 1e300, 1e-300,
    float("nan"), float("inf"), "", "x", "a\0b", "../x", "../../victims", "/etc/passwd", ".", "..",
    "segments/1", "names/../../victims/1", "\ud800", "🦆" * 300, "0" * 64, [], [[]], {}, {"a": {}},
    ["x"] * 50, {"..": "x"}, {"a.npy": None},
]  # fmt: skip
SCHEMAS = [
    "CREATE VIEW v AS SELECT 1",
    "CREATE TABLE other (x)",
    "CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE FROM images; END",
    "CREATE INDEX i ON images (features)",
    "ALTER TABLE images ADD COLUMN more DEFAULT 7",
    "DROP TABLE segments",
]
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT {} FROM n"


def entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.name.startswith("writer"))


def link(folder: Path, victims: Path, rng: Rng) -> None:
    """Put a link in the place of a file or a folder."""
    path = rng.choice(entries(folder))
    _clear(path)
    target = rng.choice([victims, victims / "1", victims / "notes.txt", path, folder, Path("/etc")])
    path.symlink_to(target)


def special(folder: Path, victims: Path, rng: Rng) -> None:
    """Put a pipe, a device, a folder or an empty file in the place of a file."""
    path = rng.choice([one for one in entries(folder) if one.is_file()])
    _clear(path)
    kind = rng.choice(["pipe", "zero", "folder", "empty", "large"])
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "zero" and hasattr(os, "mknod"):
        with suppress(PermissionError):
            os.mknod(path, 0o20666, os.makedev(1, 5))
    else:
        path.touch()
        if kind == "large":
            os.truncate(path, 2**40)


def stranger(folder: Path, victims: Path, rng: Rng) -> None:
    """Put a person's files where an index has its own."""
    places = ["graph/thesis", "graph/7", "segments/thesis", "vocabulary-0123456789", "names/3/x"]
    place = folder / rng.choice([*places, "incoming-abc/mine", "statistics"])
    place.mkdir(parents=True, exist_ok=True)
    (place / "keep-me.txt").write_text("mine")


def journal(folder: Path, victims: Path, rng: Rng) -> None:
    """Put a file beside a database that SQLite would follow."""
    database = folder / rng.choice([FILE, FILE, "lock.sqlite"])
    kind = rng.choice(["hot", "hot", "header", "random", "wal", "shm", "log", "link"])
    beside = Path(f"{database}-journal")
    if kind == "hot" and database.name == FILE:
        _kill_a_commit(database)
        if rng.random() < 0.8:
            _name_another(beside, rng.choice(list(victims.rglob("*.txt"))))
    elif kind == "header":
        beside.write_bytes(bytes.fromhex("d9d505f920a163d7") + rng.randbytes(rng.choice([20, 504])))
        _name_another(beside, rng.choice(list(victims.rglob("*.txt"))))
    elif kind == "log":
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    elif kind == "link":
        Path(f"{database}-{rng.choice(['journal', 'wal', 'shm'])}").symlink_to(
            victims / "notes.txt"
        )
    else:
        Path(f"{database}-{kind if kind in ('wal', 'shm') else 'journal'}").write_bytes(
            rng.randbytes(rng.choice([0, 16, 600, 5000]))
        )


def meta(folder: Path, victims: Path, rng: Rng) -> None:
    """Change a value of the catalog."""
    with closing(_connected(folder)) as connection, connection:
        keys = [key for (key,) in connection.execute("SELECT key FROM meta")]
        key = rng.choice([*keys, "graph", "calibration", "graph_files", "other"])
        value = _odd_json(rng)
        if rng.random() < 0.4 and key in keys:
            held = connection.execute("SELECT value FROM meta WHERE key = ?", [key]).fetchone()[0]
            value = json.dumps(_within(json.loads(held), rng))
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [key, value])
    seal(folder)


def rows(folder: Path, victims: Path, rng: Rng) -> None:
    """Change rows of the catalog's other tables."""
    with closing(_connected(folder)) as connection, connection:
        table = rng.choice(["images", "images", "segments"])
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        column = rng.choice(columns)
        some = "" if rng.random() < 0.5 else f" WHERE rowid % {rng.choice([2, 3, 5])} = 0"
        change = rng.choice(["set", "set", "set", "copy", "delete", "swap"])
        with suppress(sqlite3.Error, OverflowError, UnicodeEncodeError):
            if change == "delete":
                connection.execute(f"DELETE FROM {table}{some}")
            elif change == "copy":
                other = rng.choice(columns)
                connection.execute(f"UPDATE {table} SET {column} = {other}{some}")
            elif change == "swap":
                connection.execute(f"UPDATE OR IGNORE {table} SET {column} = {column} + 1{some}")
            else:
                odd = rng.choice([*ODD, b"\xff\0", _odd_json(rng)])
                odd = json.dumps(odd) if isinstance(odd, list | dict) else odd
                connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ?{some}", [odd])
    seal(folder)


def schema(folder: Path, victims: Path, rng: Rng) -> None:
    """Give the catalog other tables, views and triggers."""
    with closing(_connected(folder)) as connection, connection:
        if rng.random() < 0.4:
            connection.execute(rng.choice(SCHEMAS))
            return
        table = rng.choice(["meta", "images", "segments"])
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        connection.execute(f"ALTER TABLE {table} RENAME TO old")
        select = rng.choice([
            ENDLESS.format(", ".join(["i"] * len(columns))),
            "SELECT " + ", ".join(["zeroblob(1000000000)"] * len(columns)),
            f"SELECT {', '.join(columns)} FROM old",
        ])  # fmt: skip
        connection.execute(f"CREATE VIEW {table} ({', '.join(columns)}) AS {select}")


def database(folder: Path, victims: Path, rng: Rng) -> None:
    """Change bytes of the catalog's file, its tree of pages among them."""
    path = folder / FILE
    content = bytearray(path.read_bytes())
    page = rng.randrange(len(content) // 4096) * 4096
    for _ in range(rng.choice([1, 4, 40])):
        span = rng.choice([12, 100, 4096])
        content[page + rng.randrange(span)] = rng.choice([0, 1, 2, 255, rng.randrange(256)])
    if rng.random() < 0.3:
        other = rng.randrange(len(content) // 4096) * 4096
        content[page : page + 4096] = content[other : other + 4096]
    path.write_bytes(bytes(content))


def manifest(folder: Path, victims: Path, rng: Rng) -> None:
    """Change a value of the shards' manifest, or make one."""
    path = folder / MANIFEST
    held = json.loads(path.read_text()) if path.is_file() else {"format": 1, "shards": ["."]}
    changed = _within(held, rng)
    if rng.random() < 0.1:
        path.write_text("[" * rng.choice([10, 100_000]))
    else:
        path.write_text(json.dumps(changed))


def arrays(folder: Path, victims: Path, rng: Rng) -> None:
    """Change the numbers, the type or the shape of an array of the index."""
    parts = ("segments", "statistics", "names", "graph", "calibration")
    found = [path for path in folder.rglob("*.npy") if path.parent.parent.name in parts]
    for path in rng.sample(found, rng.choice([1, 1, 2])):
        _change_array(path, rng)
    _seal_files(folder)


def vocabulary(folder: Path, victims: Path, rng: Rng) -> None:
    """Change a vocabulary's arrays, its cells or its manifest."""
    (place,) = list(folder.glob("vocabulary-*"))[:1] or [folder]
    kind = rng.choice(["array", "cells", "cells", "manifest", "zip"])
    if kind == "array":
        _change_array(rng.choice(sorted(place.glob("*.npy"))), rng)
    elif kind == "manifest":
        path = place / "manifest.json"
        path.write_text(json.dumps(_within(json.loads(path.read_text()), rng)))
    else:
        with np.load(place / "cells.npz") as kept:
            content = {name: kept[name] for name in kept.files}
        name = rng.choice(sorted(content))
        content[name] = _changed(content[name], rng)
        if kind == "zip":
            _lying_archive(place / "cells.npz", content, name, rng)
        else:
            write = rng.choice([np.savez, np.savez, np.savez_compressed])
            write(place / "cells.npz", **content)
    _seal_vocabulary(place, fingerprint=rng.random() < 0.7)
    _seal_files(folder)


def archive(folder: Path, victims: Path, rng: Rng) -> None:
    """Change the members of an archive, `archive.bovw` in the folder."""
    path = folder / "archive.bovw"
    with zipfile.ZipFile(path) as source:
        members = {name: source.read(name) for name in source.namelist()}
    compression = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    with zipfile.ZipFile(path, "w", compression) as target:
        names = list(members)
        kind = rng.choice(["name", "extra", "many", "content", "missing", "twice"])
        victim = rng.choice(names)
        for name in names:
            if name == victim and kind == "missing":
                continue
            given = _odd_name(rng, victims) if name == victim and kind == "name" else name
            content = rng.randbytes(50) if name == victim and kind == "content" else members[name]
            target.writestr(zipfile.ZipInfo(given), content)
        if kind == "extra":
            target.writestr(zipfile.ZipInfo(_odd_name(rng, victims)), b"x")
        if kind == "many":
            for number in range(rng.choice([100, 20_000])):
                target.writestr(zipfile.ZipInfo(f"segments/{number}/gaps.npy"), b"")
        if kind == "twice":
            target.writestr(zipfile.ZipInfo(victim.upper()), members[victim])


VARIANTS: dict[str, Callable[[Path, Path, Rng], None]] = {
    one.__name__: one
    for one in (
        link, special, stranger, journal, meta, rows, schema, database, manifest, arrays,
        vocabulary, archive,
    )
}  # fmt: skip


def seal(folder: Path) -> None:
    """Make the catalog's digest fit, if it can still be computed."""
    with closing(_connected(folder)) as connection, connection:
        plain = Catalog.__new__(Catalog)
        vars(plain)["_database"] = type("Plain", (), {"connection": connection})
        with suppress(sqlite3.Error, ValueError):
            digest = json.dumps(plain.digest())
            connection.execute("UPDATE meta SET value = ? WHERE key = 'digest'", [digest])


def _seal_files(folder: Path) -> None:
    """Make the checksums of all files fit."""
    with closing(_connected(folder)) as connection, connection:
        for key, value in connection.execute("SELECT key, value FROM meta").fetchall():
            if key.endswith("_files"):
                kind = key.removesuffix("_files")
                place = connection.execute("SELECT value FROM meta WHERE key = ?", [kind])
                here = folder / json.loads(place.fetchone()[0])
                fitting = {name: file_sha256(here / name) for name in json.loads(value)}
                connection.execute(
                    "UPDATE meta SET value = ? WHERE key = ?", [json.dumps(fitting), key]
                )
        for id, files in connection.execute("SELECT id, files FROM segments").fetchall():
            here = folder / "segments" / str(id)
            fitting = {name: file_sha256(here / name) for name in json.loads(files)}
            connection.execute(
                "UPDATE segments SET files = ? WHERE id = ?", [json.dumps(fitting), id]
            )
    seal(folder)


def _seal_vocabulary(place: Path, fingerprint: bool) -> None:
    path = place / "manifest.json"
    with suppress(ValueError, AttributeError, KeyError, TypeError):
        kept = json.loads(path.read_text())
        kept["checksums"] = {name: file_sha256(place / name) for name in kept["checksums"]}
        path.write_text(json.dumps(kept))
    if not fingerprint:
        return
    with suppress(Exception):
        import hashlib

        digest = hashlib.sha256()
        for name in ("words.npy", "projection.npy"):
            array = np.load(place / name)
            digest.update(repr(array.shape).encode())
            digest.update(array.tobytes())
        kept["fingerprint"] = digest.hexdigest()
        path.write_text(json.dumps(kept))
        with closing(_connected(place.parent)) as connection, connection:
            connection.execute(
                "UPDATE meta SET value = ? WHERE key = 'fingerprint'",
                [json.dumps(kept["fingerprint"])],
            )
            new = f"vocabulary-{kept['fingerprint'][:16]}"
            connection.execute(
                "UPDATE meta SET value = ? WHERE key = 'vocabulary'", [json.dumps(new)]
            )
        place.rename(place.with_name(new))


def _change_array(path: Path, rng: Rng) -> None:
    np.save(path, _changed(np.load(path), rng), allow_pickle=True)


def _changed(array: np.ndarray[Any, Any], rng: Rng) -> np.ndarray[Any, Any]:
    """Change an array's numbers, type or shape."""
    kind = rng.choice(["numbers", "numbers", "numbers", "type", "shape", "order"])
    if kind == "type":
        return array.astype(rng.choice([np.float32, np.float64, np.int8, np.int64, object]))
    if kind == "shape":
        shapes = [array[:-1], array[:0], np.concatenate([array, array]), array[..., None]]
        return rng.choice([*shapes, array.reshape(-1)])
    changed = array.copy()
    flat = changed.reshape(-1)
    if not len(flat):
        return changed
    if kind == "order":
        return np.asarray(changed[::-1])
    limits: list[Any] = [0, 1, -1, len(flat)]
    if changed.dtype.kind == "f":
        limits += [np.nan, np.inf, -np.inf, 1e30]
    elif changed.dtype.kind in "iu":
        limits += [np.iinfo(changed.dtype).max, np.iinfo(changed.dtype).min]
    places = rng.sample(range(len(flat)), min(len(flat), rng.choice([1, 3, 1000])))
    with np.errstate(all="ignore"):
        flat[places] = np.array(rng.choice(limits)).astype(changed.dtype)
    return changed


def _lying_archive(path: Path, content: dict[str, Any], name: str, rng: Rng) -> None:
    """Write an .npz of which one array's header promises a huge shape."""
    with zipfile.ZipFile(path, "w") as target:
        for key, array in content.items():
            with target.open(f"{key}.npy", "w") as member:
                huge = rng.choice([2**31, 2**40, 2**62, -1])
                shape = (huge, *array.shape[1:]) if key == name else array.shape
                described = {"descr": array.dtype.str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, described)
                member.write(array.tobytes())


def _within(value: Any, rng: Rng) -> Any:
    """Return a value with an odd one somewhere inside."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(sorted(value))
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: _within(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        return [*value[:place], _within(value[place], rng), *value[place + 1 :]]
    return rng.choice(ODD)


def _odd_json(rng: Rng) -> str:
    if rng.random() < 0.1:
        return rng.choice(["", "{", "[" * 100_000, "1e999", "9" * 5000, "\0"])
    return json.dumps(rng.choice(ODD))


def _odd_name(rng: Rng, victims: Path) -> str:
    names = ["../x", "../../victims/notes.txt", str(victims / "new.txt"), "a\0b", "C:\\x", "..", ""]
    return rng.choice([*names, "segments/1/../../x.npy", "x" * 300, "vocabulary-ab/x.npy"])


def _connected(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / FILE)
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    return connection


def _clear(path: Path) -> None:
    if path.is_symlink() or is_regular(path):
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


def _kill_a_commit(path: Path) -> None:
    script = (
        "import os, signal, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 1'); c.execute('BEGIN IMMEDIATE')\n"
        "c.execute('DELETE FROM images')\n"
        "c.execute('CREATE TABLE junk AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL '\n"
        "  'SELECT i + 1 FROM n WHERE i < 500) SELECT i, randomblob(400) FROM n')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)])
    assert done.returncode == -signal.SIGKILL


def _name_another(path: Path, victim: Path) -> None:
    """Make a journal name a file as its super-journal, which SQLite removes after a rollback."""
    name = os.fsencode(victim)
    end = struct.pack(">I", 2**30 // 4096 + 1) + name + struct.pack(">II", len(name), sum(name))
    with path.open("ab") as file:
        file.write(end + bytes.fromhex("d9d505f920a163d7"))
