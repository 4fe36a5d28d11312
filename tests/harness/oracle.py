"""Who must be banned, said in as few lines as can be checked by reading them."""


def banned(failures, max_retry, find_time):
    """The addresses with `max_retry` failures whose first and last lie at most `find_time` apart.

    `failures` are (time, address) in any order; both times in the same unit.
    """
    times = {}
    for when, address in failures:
        times.setdefault(address, []).append(when)
    return {
        address
        for address, seen in times.items()
        if any(b - a <= find_time for a, b in zip(sorted(seen), sorted(seen)[max_retry - 1 :]))
    }


def read_truth(path):
    """The failures that `scripts/gen_james_log.py` wrote beside its log."""
    with open(path, encoding="utf-8") as truth:
        return [(int(when), address) for when, address in map(str.split, truth)]
