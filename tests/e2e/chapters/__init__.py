"""The chapters of the story, in their order."""

from . import before, standing

CHAPTERS = {
    "standing": standing.tell,
    "before": before.tell,
}
