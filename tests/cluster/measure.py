"""How a bench runs its measurements: each a check without a verdict, on a cluster of its own."""

import os
import shutil
import tempfile
import unittest
from pathlib import Path

from harness import world

from . import case
from .programs import ALWAYS, programs


def measure(name, binary, measurements):
    """Takes the measurements one after the other; gives the exit code. Each is a function that gives the case, called when
    the binary is known. Logs and storage stay after a bad run alone."""
    os.environ["GAOLER_BINARY"] = str(Path(binary).resolve())
    programs(*ALWAYS)
    world.enter()
    root = Path(tempfile.mkdtemp(prefix=f"gaoler-cluster-{name}-"))
    # Other users of the machine find their directories.
    root.chmod(0o711)
    good = True
    for number, measurement in enumerate(measurements):
        case.ROOT = root / str(number)
        result = unittest.TextTestRunner(verbosity=0).run(unittest.TestSuite([measurement()]))
        good = good and result.wasSuccessful()
    if good:
        shutil.rmtree(root)
    else:
        print("logs:", root)
    return 0 if good else 1
