"""What the chapters share: the cluster, James, the voice, and addresses nobody has used yet."""

import json
import time
from dataclasses import dataclass, field

from harness.daemon import banned_in, wait_until
from harness.narrate import Narrator

from .cluster import Cluster
from .mail import Mail
from .tools import Tools

GROUP = "/apis/gaoler.dev/v1alpha1"


@dataclass
class Story:
    """One run. Chapters come one after the other; each leaves what the next finds."""

    tools: Tools
    cluster: Cluster
    mail: Mail
    narrator: Narrator = field(default_factory=Narrator)
    began: float = field(default_factory=time.monotonic)
    # What chapters tell each other, by name.
    figures: dict = field(default_factory=dict)
    used: int = 0

    @property
    def internet(self):
        return self.cluster.fabric.internet

    def attackers(self, count):
        """So many addresses from which nothing has come yet."""
        first, self.used = self.used, self.used + count
        return [f"45.129.{14 + n // 250}.{1 + n % 250}" for n in range(first, first + count)]

    def title(self, text):
        self.narrator.title(f"[{time.monotonic() - self.began:4.0f} s] {text}")

    def say(self, text):
        self.narrator.explain(text)

    def check(self, what, good, seen=""):
        """One fact that must hold; `seen` may be a function: it is asked only when it does not."""
        text = seen() if not good and callable(seen) else seen
        return self.narrator.check(what, good, text)

    def type(self, command, check=True, shown=12, **options):
        """Types a command at the administrator's desk and shows what it said; gives that."""
        self.narrator.command(command.replace("\n", "\n    "))
        code, said = self.cluster.shell(command, check=check, **options)
        lines = said.rstrip().splitlines()
        if shown and lines:
            more = [f"... {len(lines) - shown} more lines"] if len(lines) > shown else []
            self.narrator.output("\n".join(line[:150] for line in [*lines[:shown], *more]))
        return said

    # Looks at the kernels, whatever anybody says.

    def held(self, machine):
        """The addresses that a node's kernel drops."""
        return banned_in(machine.kernel())

    def held_everywhere(self, addresses, timeout=60.0):
        """Waits until every node's kernel drops all of them; the seconds that took, None when it did not happen."""
        began, wanted = time.monotonic(), set(addresses)
        try:
            for machine in self.cluster.machines:
                wait_until(lambda m=machine: wanted <= self.held(m) or time.sleep(0.05), timeout)
        except TimeoutError:
            return None
        return time.monotonic() - began

    def objects(self, plural):
        return self.cluster.plane.api.get(f"{GROUP}/{plural}")["items"]

    def why(self):
        """What there is to know when something about bans is wrong."""
        kernels = {machine.name: sorted(self.held(machine)) for machine in self.cluster.machines}
        agents = {a["metadata"]["name"]: a.get("status", {}).get("conditions") for a in self.objects("nodeagents")}
        logs = self.cluster.shell("kubectl logs -n gaoler --all-containers --prefix --tail=15 -l app.kubernetes.io/name=gaoler", check=False)[1]
        return f"{kernels}\n{json.dumps(agents)}\n{logs}"
