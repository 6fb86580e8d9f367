"""Counts what goes wrong with an index under kills, bad files, parallel access and damage.

    python benchmarks/faults DIR [--kills 200] [--seconds 60] [--lives 200] [--only PART...]

Takes 64 photographs of DIR, reduced to 400 pixels, and trains 1,024 words on them once. Everything
random has a seed, except the timing of processes.

kills       kills commands that write with SIGKILL, the process group or the main process alone: at
            any time, once they write, or when a commit begins. After each kill, the index is
            checked and searched, and the same command runs to its end.
bad files   indexes damaged and odd files twice. Each must be listed, as ok or with a reason.
two at once readers open the index anew for every query while a writer commits; a second writer must
            be told of the first, and must get in once the first is killed.
damage      flips a byte of an index, or cuts, empties, removes or swaps a file: what `bovw check`
            finds, what a query does, and what `bovw check --repair` brings back.
steps       kills each command that writes at each of its file operations, and runs it again.
hostile     changes whole indexes, checksums too, as somebody would who means harm: links, pipes,
            journals, tables, values, arrays, archives. Run it with NUMBA_BOUNDSCHECK=1 and a
            NUMBA_CACHE_DIR of its own, too: kernels then say where they leave an array.
moves       disks and folders are mounted, unmounted, moved, copied, linked and removed at random,
            and `bovw index` updates an index from some of them: images that are there twice
            (doubles), or still there though they are gone (ghosts).
repetition  asks for 100 drawn pictures of dots, walls, pages and so on, and for 20 photographs:
            what a query costs, and what it confirms.
service     clients keep `bovw serve` waiting, its decoding processes are killed, its index is built
            anew: how long others wait, what it logs, and whether it survives.

The script prints a row for each count, marks those that should be 0 and are not, and writes all
counts to results/faults.json. The exit code is 1 if a count that must be 0 is not.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# The folder above has `machine`, and this folder as a package.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from machine import HERE, machine, write_result

from faults.bad_files import try_bad_files
from faults.bench import prepare
from faults.counts import NEVER, Counts
from faults.crashes import try_guard
from faults.damage import try_damage
from faults.hostile import try_hostile
from faults.kills import Killer
from faults.moves import try_moves
from faults.repetition import try_repetition
from faults.service import try_service
from faults.steps import try_steps
from faults.together import try_two_at_once


def main() -> None:
    arguments = parse()
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        bench = prepare(arguments.photos, Path(scratch))
        parts: dict[str, Callable[[], Counts]] = {
            "kills": lambda: Killer(bench).run(arguments.kills),
            "bad files": lambda: try_bad_files(bench, arguments.files) | try_guard(bench.rng),
            "two at once": lambda: try_two_at_once(bench, arguments.seconds),
            "damage": lambda: try_damage(bench, arguments.flips),
            "steps": lambda: try_steps(bench, arguments.steps),
            "hostile": lambda: try_hostile(bench, arguments.variants),
            "moves": lambda: try_moves(bench, arguments.lives),
            "repetition": lambda: try_repetition(arguments.photos, bench.folder("repetition")),
            "service": lambda: try_service(bench),
        }
        results = earlier() if arguments.only else {}
        for part, run in parts.items():
            if not arguments.only or part in arguments.only:
                started = time.perf_counter()
                results[part] = run()
                show(part, results[part])
                results[part]["took_seconds"] = round(time.perf_counter() - started)
                results[part]["commit"] = machine()["commit"]
                write_result("faults", {"parts": results})
    if any(results[part].get(name) for part in results for name in NEVER):
        sys.exit(1)


def earlier() -> Counts:
    """Return the parts that are on file, for a run of some of them."""
    path = HERE / "results" / "faults.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return dict(content.get("parts", {}))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("photos", type=Path, metavar="DIR")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--flips", type=int, default=600)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--variants", type=int, default=5000)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--lives", type=int, default=200)
    names = ("kills", "bad files", "two at once", "damage", "steps", "hostile", "moves",
             "repetition", "service")  # fmt: skip
    parser.add_argument("--only", nargs="+", choices=names, metavar="PART", help=", ".join(names))
    return parser.parse_args()


def show(part: str, counts: Counts) -> None:
    """Print counts, those of parts of a part below it; what should be 0 and is not is marked."""
    for name, value in counts.items():
        if isinstance(value, dict):
            show(f"  {name}", value)
        else:
            mark = "   <-- should be 0" if name in NEVER and value else ""
            text = len(value) if isinstance(value, list) else value
            print(f"{part:<24} {name.replace('_', ' '):<44} {text:>8}{mark}", flush=True)
        part = ""


if __name__ == "__main__":
    main()
