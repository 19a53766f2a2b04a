"""A Ray cluster of two nodes on this machine, of one core each, and a local S3 server that both reach."""

import os
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_worker_niceness": "0"}
S3 = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


# a node that does not answer is dead after 3 seconds, not after 20
SOON = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 3}


class TwoNodes:
    """The cluster; `kill_one` kills the second node, `add_one` starts one in its place."""

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        self._s3 = ThreadedMotoServer(port=0, verbose=False)
        self._s3.start()
        host, port = self._s3.get_host_and_port()
        os.environ.update({**SETTINGS, **S3, "AWS_ENDPOINT_URL": f"http://{host}:{port}"})
        from ray.cluster_utils import Cluster

        node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 100 << 20}
        self._node = node
        self._cluster = Cluster(
            initialize_head=True, head_node_args={**node, "include_dashboard": False, "_system_config": SOON}
        )
        self._second = self._cluster.add_node(**node)
        self.address: str = self._cluster.address

    def kill_one(self) -> None:
        self._cluster.remove_node(self._second, allow_graceful=False)

    def add_one(self) -> None:
        self._second = self._cluster.add_node(**self._node)

    def stop(self) -> None:
        self._cluster.shutdown()
        self._s3.stop()


@pytest.fixture(scope="module")
def two_nodes(own_cache: object) -> Iterator[TwoNodes]:
    """Skipped where Ray or the S3 server is not installed."""
    for name in ("ray", "moto", "s3fs"):
        pytest.importorskip(name)
    before = dict(os.environ)
    nodes = TwoNodes()
    yield nodes
    nodes.stop()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def connected(two_nodes: TwoNodes) -> Iterator[TwoNodes]:
    """One connection for several tests: workers start once, which takes longer than what they compute."""
    import ray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(two_nodes.address, log_to_driver=False, logging_level="critical")
        yield two_nodes
        ray.shutdown()
