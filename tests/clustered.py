"""Generate on a Ray cluster of two nodes on one machine, one of which may be killed: python clustered.py OUT whole|killed|local

As a process of its own, because a cluster leaves threads and settings behind. Prints JSON.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from hedgefox import datasets
from hedgefox.contracts.track import smoke

# Under its package's name, since that is where a node finds it.
from hedgefox.tests.interrupted import Slow

TRACK = dataclasses.replace(smoke(), trajectories={"train": 120, "valid": 16})


def two_nodes() -> tuple[Any, Any]:
    from ray.cluster_utils import Cluster

    logging.getLogger("ray").setLevel(logging.ERROR)
    quiet = {"include_dashboard": False, "num_cpus": 1}
    cluster = Cluster(initialize_head=True, head_node_args=quiet)
    return cluster, cluster.add_node(num_cpus=1)


def main(out: Path, how: str) -> None:
    """Make the data and say what happened."""
    if how == "local":
        with datasets.executor("ray", 2) as workers:
            folder = datasets.generate(Slow(), TRACK, out, workers=workers)
        print(json.dumps({"hash": datasets.manifest_hash(folder), "nodes": [1, 1], "killed_at": []}))
        return
    cluster, second = two_nodes()
    nodes: list[int] = []
    killed: list[int] = []

    def told(done: int, total: int) -> None:
        if how == "killed" and done >= total // 3 and not killed:
            cluster.remove_node(second, allow_graceful=False)
            killed.append(done)

    with datasets.executor("ray", 2, cluster.address) as workers:
        nodes.append(_alive())
        folder = datasets.generate(Slow(), TRACK, out, workers=workers, progress=told)
        until = time.monotonic() + 60
        while killed and _alive() > 1 and time.monotonic() < until:
            time.sleep(0.5)
        nodes.append(_alive())
    cluster.shutdown()
    print(json.dumps({"hash": datasets.manifest_hash(folder), "nodes": nodes, "killed_at": killed}))


def _alive() -> int:
    import ray

    nodes: Any = ray.nodes
    return len([node for node in nodes() if node["Alive"]])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
