"""The commands of a quickstart, taken out of README.md as they stand there."""

import re
from dataclasses import dataclass

from .tools import REPOSITORY


@dataclass(frozen=True)
class Command:
    """One command line as a person types it, with the lines of its here-document."""

    text: str

    @property
    def first_line(self):
        return self.text.split("\n")[0]


@dataclass(frozen=True)
class Content:
    """What a person puts into the file that the command before opened."""

    text: str


def steps(name):
    """The commands and contents between `<!-- quickstart NAME -->` and `<!-- end -->`, in their order."""
    page = (REPOSITORY / "README.md").read_text()
    begin, end = f"<!-- quickstart {name} -->", "<!-- end -->"
    if begin not in page:
        raise LookupError(f"README.md has no line {begin}")
    part = page.split(begin, 1)[1].split(end, 1)[0]
    found = []
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", part, re.M | re.S):
        found += commands(block) if language == "console" else [Content(block)]
    return found


def commands(block):
    """The lines of a `console` block that begin with `$ `; what stands between them is output, or a here-document's."""
    lines, found = iter(block.splitlines()), []
    for line in lines:
        if not line.startswith("$ "):
            continue
        text = [line[2:]]
        while text[-1].endswith("\\"):
            text.append(next(lines))
        if opened := re.search(r"<<'?(\w+)'?", line):
            for more in lines:
                text.append(more)
                if more == opened[1]:
                    break
        found.append(Command("\n".join(text)))
    return found
