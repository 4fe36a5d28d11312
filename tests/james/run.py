#!/usr/bin/env python3
"""Gaoler against real James servers: what is seen in their logs, and what a real attack comes to.

Everything runs in private network namespaces. Ends with 1 when anything was not as it must be.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from harness import world  # noqa: E402

PARTS = ["table", "logback", "attack"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True, type=Path)
    parser.add_argument("--james", default="3.8.1", help="version of the server to fetch and run")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part")
    parser.add_argument("--renew", action="store_true", help="write the table of docs/james.md instead of checking it")
    parser.add_argument("--keep", action="store_true", help="keep logs and configuration")
    parser.add_argument("--together", action="store_true", help="the parts side by side: sooner done, other figures of speed")
    return parser.parse_args()


def together(options, names):
    """Each part in a process and a network of its own; prints what each printed when it ends."""
    more = [flag for flag, given in (("--renew", options.renew), ("--keep", options.keep)) if given]

    def one(name):
        command = [sys.executable, __file__, "--binary", options.binary, "--james", options.james, "--part", name, *more]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    codes = []
    with ThreadPoolExecutor(len(names)) as workers:
        for done in workers.map(one, names):
            print(done.stdout, end="", flush=True)
            codes.append(done.returncode)
    return int(any(codes))


def main():
    options = arguments()
    import server

    # From the private network nothing can be fetched any more.
    server.fetch(options.james)
    server.newer_logback()
    chosen = options.part or PARTS
    if options.together and len(chosen) > 1:
        sys.exit(together(options, chosen))
    world.enter()
    import names

    names.stay_at_home()
    import attack
    import logbacks
    import seen

    directory = Path(tempfile.mkdtemp(prefix="gaoler-james-"))
    began = time.monotonic()
    complaints = []
    parts = {"table": seen.run, "logback": logbacks.run, "attack": attack.run}
    for name in chosen:
        print(f"\n== {name}", flush=True)
        found = parts[name](options, directory / name)
        complaints += found
        print(f"== {name}: {len(found)} complaints after {time.monotonic() - began:.0f} s", flush=True)
    for complaint in complaints:
        print("WRONG:", complaint)
    if options.keep or complaints:
        print("logs:", directory)
    else:
        import shutil

        shutil.rmtree(directory)
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()
