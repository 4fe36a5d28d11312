"""A clock of one process that can be set while the process runs, by libfaketime. The machine's stays as it is."""

import os
from pathlib import Path

LIBRARY = next(map(str, Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


class SettableClock:
    """Right at first. Timers and the time since boot run as ever: nobody can set those."""

    def __init__(self, path):
        if not LIBRARY:
            raise SystemExit("libfaketime is missing: apt-get install faketime")
        self.path = Path(path)
        self.set(0)

    def set(self, ahead):
        """So many seconds ahead of the machine's (behind, where negative). Whoever asks next gets the new time."""
        self.ahead = ahead
        fresh = self.path.with_suffix(".new")
        fresh.write_text(f"{ahead:+d}\n")
        os.replace(fresh, self.path)

    def environment(self):
        """What a process needs that goes by it."""
        return {
            "LD_PRELOAD": LIBRARY, "FAKETIME_TIMESTAMP_FILE": str(self.path), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip
