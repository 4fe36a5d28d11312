"""Tells what is done and what is seen, and keeps count of what should have been seen and was not."""

import sys


class Narrator:
    """Prose on stdout: coloured on a terminal, plain elsewhere. Every check counts once."""

    def __init__(self, out=sys.stdout):
        self.out = out
        self.color = out.isatty()
        self.passed, self.failed = 0, []

    def _paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self.color else text

    def say(self, text=""):
        print(text, file=self.out, flush=True)

    def title(self, text):
        self.say("\n" + self._paint("1", text))

    def explain(self, text):
        for line in text.strip().splitlines():
            self.say("  " + self._paint("2", line.strip()))

    def command(self, text):
        self.say("  " + self._paint("36", "$ " + text))

    def output(self, text):
        for line in text.rstrip().splitlines():
            self.say("    " + line)

    def check(self, what, good, seen=""):
        """Says whether `what` holds; `seen` is told where it does not."""
        if good:
            self.passed += 1
            self.say(f"  {self._paint('32', '✓')} {what}")
        else:
            self.failed.append(what + (f": {seen}" if seen else ""))
            self.say(f"  {self._paint('31', '✗')} {self.failed[-1]}")
        return good

    def close(self, name):
        """The closing line of a run; its exit status."""
        self.say(f"\n{name}: {self.passed} passed, {len(self.failed)} failed")
        return 1 if self.failed or not self.passed else 0
