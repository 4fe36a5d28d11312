"""All cases against a real server, and the logs of every layout against what is true."""

import cases
import document
import expected
import garble
import server
import table
from harness.world import World

# Pieces of two logs may by chance join to a failure that nobody made, of an address that is really in them.
GARBLED = 2


def run(options, directory):
    family = "3.8.1" if options.james.startswith("3.8") else "3.9.0"
    logs = {"3.9.0": table.captured("3.9.0", directory / "captures" / "3.9.0")}
    logs[family] = live(options.james, directory / "server")
    complaints, grid = [], {}
    written = table.written_thrice(logs["3.8.1"] / "json.log") if "3.8.1" in logs else {}
    for n, weight in written.items():
        print(f"case {n}: of three failures in one connection James wrote {weight} with an address", flush=True)
        if weight > 3:
            complaints.append(f"case {n}: James wrote {weight} of three failures: the case is another than described")
    for version, folder in sorted(logs.items()):
        for layout in expected.ALL:
            report = table.measure(options.binary, folder / f"{layout}.log", layout, directory)
            verdict = table.Verdict(version, layout, report, written if version == "3.8.1" else None)
            grid[version, layout] = verdict.cells
            complaints += verdict.complaints
        complaints += broken(options.binary, version, folder, directory)
    show(grid)
    if options.renew:
        document.renew()
    elif document.stale():
        complaints.append("the table in docs/james.md is stale: tests/james/run.py --renew writes it")
    return complaints


def live(version, directory):
    """Runs every case against a real server of that version; gives the directory of its logs."""
    w = World([table.of_case(n) for n in range(1, len(cases.CASES) + 1)])
    james = server.Server(w.host, version, directory, w.HOST4)
    print(f"James {version} answered after {james.start():.0f} s", flush=True)
    with w.internet.inside():
        for n, (name, act) in enumerate(cases.CASES, 1):
            client = cases.Client(w.HOST4, server.PORT_BASE, table.of_case(n), james.token)
            try:
                act(client)
            except OSError as error:
                # James hangs up on some; what it logged until then is what counts.
                print(f"    case {n}, {name}: {error}", flush=True)
    james.stop()
    return james.log


def broken(binary, version, folder, directory):
    """Cut and torn logs accuse nobody who is not to blame, and nobody too often."""
    complaints = []
    for layout in expected.ALL:
        whole = (folder / f"{layout}.log").read_bytes()
        other = (folder / "default.log").read_bytes()
        for seed in range(GARBLED):
            for how, data in (("cut", garble.cut(whole, seed)), ("torn", garble.interleave(whole, other, seed))):
                log = directory / f"{version}-{layout}-{how}-{seed}.log"
                log.write_bytes(data)
                report = table.measure(binary, log, layout, directory)
                found = table.Verdict(version, layout, report).complaints
                # Less is seen, of course. Both logs of a torn one may count.
                bad = [c for c in found if "accuses" in c or (how == "cut" and "were tried" in c)]
                complaints += [f"{how} {seed}: {c}" for c in bad]
    return complaints


def show(grid):
    """*seen n of m*, *blind* with its reason, or *quiet*: each case once, and where layouts differ in detail."""
    for n, (name, _) in enumerate(cases.CASES, 1):
        if n not in expected.ATTACKS:
            print(f"{n:3} {name}: quiet everywhere, {'innocent' if n in expected.INNOCENT else 'noise'}")
            continue
        print(f"{n:3} {name}")
        for filter_name, tried in expected.ATTACKS[n].items():
            said = {}
            for (version, layout), cells in grid.items():
                seen, _, reason = cells[n][filter_name]
                text = f"seen {seen} of {tried}" + (f": {reason}" if reason else "")
                said.setdefault(text, []).append(f"{version} {layout}")
            for text, where in said.items():
                print(f"      {filter_name}: {text}  [{'all' if len(where) == len(grid) else ', '.join(where)}]")
