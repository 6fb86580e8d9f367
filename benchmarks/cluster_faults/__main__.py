"""Counts what goes wrong when a cluster loses workers, nodes and replicas.

    python benchmarks/cluster_faults DIR [--builds 20] [--kills 10] [--only PART...]

Takes 96 photographs of DIR, reduced to 400 pixels, and trains 1,024 words on them once. The cluster
is a local Ray cluster of three nodes. Everything random has a seed, except the timing of processes.

workers   builds during which a busy worker is killed, at a random time
nodes     builds during which a node is killed with everything that runs on it
replicas  two clients search four shards without a pause while replicas are killed one by one; once
          with a deadline longer than Ray takes to start another replica, once with a shorter one
machines  the same, but a node is killed with the replicas on it, and a new node joins

Every build must give the same index as a build on one machine. Every answer must equal the answer
of one index; or it must name the missing shards, and hold no other images. All answers must come by
their deadline. The script prints a row for each part and writes all counts to
results/cluster_faults.json. The exit code is 1 if a count that must be 0 is not.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ray

# The folder above has `machine`, and this folder as a package.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from machine import write_result

from bovw.images import find_images
from cluster_faults.answers import lose_machines, lose_replicas
from cluster_faults.builds import lose_nodes, lose_workers
from cluster_faults.given import TAKEN, Given, prepare
from cluster_faults.nodes import Local

# Images per segment of a worker: few, so that there are many segments.
CHUNK = 4
# Counts that must be 0 in every part.
NEVER = ("failed", "different", "left over", "wrong", "late", "not recovered")
PARTS: dict[str, Callable[[Given, argparse.Namespace], dict[str, Any]]] = {
    "workers": lose_workers,
    "nodes": lose_nodes,
    "replicas": lose_replicas,
    "machines": lose_machines,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--builds", type=int, default=20, help="builds of a part")
    parser.add_argument("--kills", type=int, default=10, help="losses in a part")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    files = find_images([arguments.folder])
    files = random.Random(0).sample(files, min(TAKEN, len(files)))
    local = Local()
    results: dict[str, dict[str, Any]] = {}
    try:
        with tempfile.TemporaryDirectory() as scratch, patch("bovw.ingest.build.CHUNK", CHUNK):
            given = prepare(files, local, Path(scratch))
            for part in arguments.only:
                results[part] = PARTS[part](given, arguments)
                print(f"{part}: " + ", ".join(f"{k} {shown(v)}" for k, v in results[part].items()))
    finally:
        local.close()
    write_result("cluster_faults", {"ray": ray.__version__, "images": len(files), **results})
    return int(any(part.get(count, 0) for part in results.values() for count in NEVER))


def shown(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
