"""The table of docs/james.md: kept from `expected`, which the runs hold to be true."""

from pathlib import Path

import cases
import expected

PAGE = Path(__file__).resolve().parents[2] / "docs" / "james.md"
BEGIN, END = "<!-- table: make test-james keeps it -->", "<!-- end of table -->"


def cell(version, layout, n, notes):
    """`2/2`, `0/2` or `2/1` with its reason's number, or nothing to see."""
    if n in expected.INNOCENT:
        return "–"
    if n in expected.NOISE:
        return "–"
    parts = []
    for name, tried in expected.ATTACKS[n].items():
        blind = expected.BLIND.get((version, layout, n, name))
        twice = expected.TWICE.get((version, layout, n, name))
        if twice:
            counted, reason = twice
            parts.append(f"{counted}/{tried} ({notes.setdefault(reason, len(notes) + 1)})")
            continue
        if not blind:
            parts.append(f"{tried}/{tried}")
            continue
        low, high, reason = blind
        note = notes.setdefault(reason, len(notes) + 1)
        parts.append(f"{low}/{tried} ({note})" if low == high else f"{low}–{high}/{tried} ({note})")
    return ", ".join(parts)


def table():
    notes = {}
    columns = [(v, l) for v in expected.VERSIONS for l in expected.ALL]
    lines = ["| case | what | " + " | ".join(f"{v[:3]} {l}" for v, l in columns) + " |", "|" + "---|" * (len(columns) + 2)]
    for n, (name, _) in enumerate(cases.CASES, 1):
        kind = "innocent" if n in expected.INNOCENT else "noise" if n in expected.NOISE else ", ".join(
            filter_name.removeprefix("james-") for filter_name in expected.ATTACKS[n]
        )
        cells = " | ".join(cell(v, l, n, notes) for v, l in columns)
        lines.append(f"| {n} | {name.replace('|', '/')} *({kind})* | {cells} |")
    lines.append("")
    lines += [f"{number}. {reason}." for reason, number in notes.items()]
    return "\n".join(lines)


def stale():
    """Whether the page's table is not the one that is true now."""
    return _with(PAGE.read_text()) != PAGE.read_text()


def renew():
    PAGE.write_text(_with(PAGE.read_text()))


def _with(page):
    head, rest = page.split(BEGIN, 1)
    return f"{head}{BEGIN}\n\n{table()}\n\n{END}{rest.split(END, 1)[1]}"
