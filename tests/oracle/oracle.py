#!/usr/bin/env python3
"""Who is banned from when until when, found by brute force: an independent check of Gaoler's counting.

Reads records `TIME ADDRESS [WEIGHT] [ok]` (seconds since 1970 with up to six digits after the point; `ok` is a
successful login) in any order and prints `SUBJECT N SINCE UNTIL`, sorted by subject and beginning. For every subject
the records are sorted by time, and for every failure every other one is looked at. Nothing is shared with the program.

DESIGN section 5 in short: a ban falls when the weights within findTime, both ends included, reach maxRetry (times the
factor when somebody logged in within findTime before); failures until its end move the end (in steps of a second or
more), never n; n counts bans until forgetAfter has passed without one; a ban's records are used up.
"""
import argparse
import ipaddress
import sys

MICRO = 1_000_000
FOREVER = None


def micros(text):
    """Exact, unlike a float: '12.5' is 12500000."""
    whole, _, fraction = text.partition(".")
    sign = -1 if whole.startswith("-") else 1
    return int(whole) * MICRO + sign * int((fraction + "000000")[:6])


def seconds(value):
    return f"{value // MICRO}.{value % MICRO:06d}"


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--max-retry", type=int, default=5)
    p.add_argument("--find-time", type=micros, default=600 * MICRO)
    p.add_argument("--ban-time", default="600", help="seconds, or Permanent")
    p.add_argument("--factor", type=float, default=1)
    p.add_argument("--max-ban-time", type=micros, default=604800 * MICRO)
    p.add_argument("--forget-after", type=micros, default=2592000 * MICRO)
    p.add_argument("--jitter", type=micros, default=0)
    p.add_argument("--jail", default="jail", help="its name; only the jitter depends on it")
    p.add_argument("--trusted", type=int, default=1)
    p.add_argument("--ipv4", type=int, default=32)
    p.add_argument("--ipv6", type=int, default=64)
    return p.parse_args()


def subject(address, arg):
    a = ipaddress.ip_address(address)
    if a.version == 6 and a.ipv4_mapped:
        a = a.ipv4_mapped
    return ipaddress.ip_network((a, arg.ipv4 if a.version == 4 else arg.ipv6), strict=False)


def jitter(arg, who, n):
    """FNV-1a over the identity, finished with MurmurHash3's fmix64, as a share of the jitter."""
    mask, h = 2**64 - 1, 0xCBF29CE484222325
    for byte in (arg.jail.encode() + bytes([0, who.version]) + who.network_address.packed
                 + bytes([who.prefixlen]) + n.to_bytes(4, "big")):
        h = (h ^ byte) * 0x100000001B3 & mask
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        h = (h ^ h >> 33) * factor & mask
    return (h ^ h >> 33) * (arg.jitter + 1) >> 64


def end(arg, who, n, failure):
    if arg.ban_time == "Permanent":
        return FOREVER
    base = micros(arg.ban_time)
    length = min(base * max(arg.factor, 1) ** (n - 1), max(arg.max_ban_time, base))
    return failure + int(length) + jitter(arg, who, n)


def sentences(arg, who, records):
    bans, failures, successes = [], [], []
    for time, weight, ok in sorted(records, key=lambda r: r[0]):  # stable: equal times stay in the order of the log
        if ok:
            successes.append(time)
            continue
        if bans and (bans[-1]["until"] is FOREVER or time <= bans[-1]["until"]):
            ban = bans[-1]
            moved = end(arg, who, ban["n"], time)
            if time > ban["since"] and ban["until"] is not FOREVER and moved >= ban["until"] + MICRO:
                ban["until"] = moved
            continue
        failures.append((time, weight))
        trusted = any(time - arg.find_time <= s <= time for s in successes)
        needed = arg.max_retry * (arg.trusted if trusted else 1)
        if sum(w for t, w in failures if time - arg.find_time <= t <= time) >= needed:
            n = 1
            if bans and time - bans[-1]["until"] <= arg.forget_after:
                n = bans[-1]["n"] + 1
            bans.append({"n": n, "since": time, "until": end(arg, who, n, time)})
            failures.clear()
    return bans


def main():
    arg = arguments()
    by_subject = {}
    for line in sys.stdin:
        fields = line.split()
        if fields:
            weight = next((int(f) for f in fields[2:] if f.isdigit()), 1)
            record = (micros(fields[0]), weight, "ok" in fields[2:])
            by_subject.setdefault(subject(fields[1], arg), []).append(record)
    for who in sorted(by_subject, key=lambda s: (s.version, s)):
        for ban in sentences(arg, who, by_subject[who]):
            until = "permanent" if ban["until"] is FOREVER else seconds(ban["until"])
            name = who.network_address if who.prefixlen == who.max_prefixlen else who
            print(name, ban["n"], seconds(ban["since"]), until)


if __name__ == "__main__":
    main()
