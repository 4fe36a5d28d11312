"""A wrong clock for one process, by libfaketime: time namespaces do not shift the time of day."""

from harness.set_clock import LIBRARY


def shifted(seconds):
    """The environment of a process whose clock is so many seconds ahead (behind, where negative).

    Its timers run as ever: the monotonic clock is left alone.
    """
    if not seconds:
        return {}
    if not LIBRARY:
        raise SystemExit("libfaketime is missing: apt-get install faketime")
    return {"LD_PRELOAD": LIBRARY, "FAKETIME": f"{seconds:+d}", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
