# shellcheck shell=bash
# Where things live that are fetched or built once, outside every checkout. Sourced, not run.
GAOLER_CACHE=${GAOLER_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set: set GAOLER_CACHE to a directory}/.cache}/gaoler}
export GAOLER_CACHE
mkdir -p "$GAOLER_CACHE"
# The tools' directory is named by what is pinned, so that a new pin never meets an old tool.
GAOLER_TOOLS=$GAOLER_CACHE/tools-$(sha256sum "${BASH_SOURCE[0]%/*}/requirements.txt" | cut -c1-12)
export GAOLER_TOOLS
