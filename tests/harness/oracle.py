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


def fail2ban_estimate(failures, max_retry, find_time):
    """Whom fail2ban bans: its count is no sliding window.

    Where an address' failures span more than `find_time`, their number is scaled down to it instead of counted; and
    it knows whole seconds only. Times are milliseconds here.
    """
    find_time //= 1000
    found, tickets = set(), {}
    for milliseconds, address in sorted(failures):
        when = milliseconds // 1000
        first, last, count = tickets.get(address, (when, when, 0))
        if last <= when - find_time:
            first, count = when, 0
        elif when - first > find_time:
            count = round(count / (when - first) * find_time)
            first = when - find_time
        tickets[address] = (first, when, count + 1)
        if count + 1 >= max_retry:
            found.add(address)
            del tickets[address]
    return found


def read_truth(path):
    """The failures that `scripts/gen_james_log.py` wrote beside its log, in milliseconds."""
    with open(path, encoding="utf-8") as truth:
        return [(int(when), address) for when, address in map(str.split, truth)]
