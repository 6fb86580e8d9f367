"""A local cluster of three nodes, and ways to kill parts of it."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster as RayNodes

from bovw.cluster.engines import RayCluster

# Number of nodes besides the first.
OTHERS = 2


class Local:
    """Three nodes on this machine; all but the first may be killed."""

    def __init__(self) -> None:
        head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100_000_000}
        self.nodes = RayNodes(initialize_head=True, head_node_args=head)
        self.others: list[Any] = []
        self.mend()
        self.cluster = RayCluster(self.nodes.address)

    def _join(self) -> Any:
        return self.nodes.add_node(num_cpus=1, object_store_memory=100_000_000)

    def lose(self, chance: random.Random) -> bool:
        """Kill a node with everything that runs on it."""
        lost = self.others.pop(chance.randrange(len(self.others)))
        self.nodes.remove_node(lost, allow_graceful=False)
        return True

    def mend(self) -> None:
        """Add new nodes for the lost ones; call this in the main thread."""
        while len(self.others) < OTHERS:
            self.others.append(self._join())

    def close(self) -> None:
        """Leave the cluster and end its nodes."""
        self.cluster.close()
        self.nodes.shutdown()


def kill(title: str) -> bool:
    """Kill one of the cluster's processes with this title; return False if there is none."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "cmdline").read_bytes().decode("utf-8", "replace")
            if title in name and name.startswith("ray::") and is_below_this(int(process.name)):
                os.kill(int(process.name), signal.SIGKILL)
                return True
        except OSError:  # it has just ended
            continue
    return False


def is_below_this(process: int) -> bool:
    """Tell whether a process descends from this one: other clusters may run here, too."""
    while process not in (0, os.getpid()):
        status = Path(f"/proc/{process}/stat").read_text()
        process = int(status.rpartition(")")[2].split()[1])
    return process != 0
