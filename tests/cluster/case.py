"""A check on a cluster: one control plane for all tests of a class, nodes for each test."""

import os
import unittest
from pathlib import Path

from .controlplane import ControlPlane
from .fabric import Fabric
from .node import Node
from .programs import ALWAYS, programs

BINARY = os.environ.get("GAOLER_BINARY", "")
# Where logs and storage are; the runner removes it after a good run and names it after a bad one.
ROOT = Path(os.environ.get("GAOLER_CLUSTER_ROOT", "/nonexistent"))
REPOSITORY = Path(__file__).resolve().parents[2]


class ClusterCase(unittest.TestCase):
    """Starting a control plane takes some seconds, hence one for a class; its nodes are numbered from 1 in each test."""

    # About how many seconds the class takes: of those side by side, the longest begin.
    takes = 20
    # With a kube-controller-manager.
    controllers = False
    # Programs beside those every control plane needs.
    programs = ()
    # More flags for the API server.
    api_arguments = ()

    @classmethod
    def setUpClass(cls):
        more = ("kube-controller-manager",) if cls.controllers else ()
        cls.root = ROOT / cls.__name__
        cls.fabric = Fabric()
        cls.fabric.own_all("45.0.0.0/8")
        cls.fabric.own_all("2001:db8:bad::/48")
        cls.plane = ControlPlane(
            cls.root, programs(*ALWAYS, *more, *cls.programs), cls.fabric, controllers=cls.controllers, arguments=cls.api_arguments
        )
        cls.addClassCleanup(cls.plane.stop)
        cls.plane.start()
        cls.plane.namespace(Node.ACCOUNT_NAMESPACE)

    def setUp(self):
        # Short: the path of a socket has at most 107 bytes.
        self.directory = self.root / f"{len(list(self.root.glob('[0-9]*'))):02}-{self._testMethodName.removeprefix('test_')[:24]}"
        self.directory.mkdir()
        self.nodes = {}

    def node(self, number, **about):
        """Node number `number`, until the test ends."""
        node = Node(self.plane, number, self.directory, **about)
        self.addCleanup(node.close)
        self.nodes[number] = node
        return node
