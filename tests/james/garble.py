"""Logs as broken as real ones get: lines cut short, torn apart by another writer, glued together."""

import random


def cut(data, seed):
    """Every so often the rest of a line is missing, and the next begins right there."""
    chance, out = random.Random(seed), []
    for line in data.splitlines(keepends=True):
        out.append(line[: chance.randrange(len(line))] if chance.random() < 0.2 else line)
    return b"".join(out)


def interleave(one, other, seed):
    """Two logs through one pipe without a lock: pieces of both in turn."""
    chance, out, at = random.Random(seed), [], [0, 0]
    sources = [one, other]
    while any(at[i] < len(sources[i]) for i in (0, 1)):
        i = chance.randrange(2)
        size = chance.choice((64, 512, 4096))
        out.append(sources[i][at[i] : at[i] + size])
        at[i] += size
    return b"".join(out)
