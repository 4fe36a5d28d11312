# shellcheck shell=bash
# Which Go builds Kubernetes' programs. Sourced after scripts/cache.sh, not run.
GAOLER_GO=$GAOLER_CACHE/go-$(sha256sum "${BASH_SOURCE[0]%/*}/go.txt" | cut -c1-12)

# Puts a Go of 1.25 or later first on PATH: the machine's own, else the one that scripts/setup.sh fetched.
find_go() {
  local minor directory
  for directory in "" "$GAOLER_GO/bin/"; do
    minor=$(GOTOOLCHAIN=local "${directory}go" env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p') || continue
    [ "${minor:-0}" -ge 25 ] || continue
    [ -z "$directory" ] || PATH=$directory:$PATH
    return 0
  done
  return 1
}
