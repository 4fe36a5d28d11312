"""The chapters of the story, in their order."""

from . import before, change, guarded, hands, install, leave, lost, spread, standing, upgrade

CHAPTERS = {
    chapter.__name__.rpartition(".")[2]: chapter.tell
    for chapter in (standing, before, install, guarded, hands, spread, lost, upgrade, change, leave)
}
