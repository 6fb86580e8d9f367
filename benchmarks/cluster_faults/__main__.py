"""Shows by counts that a cluster may lose workers, nodes and replicas.

    python benchmarks/cluster_faults DIR [--builds 20] [--kills 10] [--only PART...]

DIR has photographs, of which 96 are taken, reduced to 400 pixels; 1,024 words are trained on them
once. The cluster is Ray's own, of three nodes on this machine. Everything random has a seed, but
for the times at which processes are where they are.

workers   builds during which a worker that has an image in hand is killed, at any time
nodes     builds during which a node is killed with all that runs on it
replicas  four shards answer two clients without a pause while one replica after the other is
          killed: with a deadline that is longer than Ray takes to start another, and a shorter one
machines  the same, where a node is killed with the replicas on it, and another one joins

Every build has to give the index that one machine makes; every answer has to be that of one index,
or to name the shards that it lacks and to hold nothing else, and to come by its deadline. A row for
each part goes to the screen, and all counts to results/cluster_faults.json; the exit code is 1
where one that has to be 0 is not.
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

# Images of a worker's segment, so that there are many of them.
CHUNK = 4
# What must be 0, in any part.
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
    parser.add_argument("--kills", type=int, default=10, help="replicas, and machines, of a part")
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
