#!/usr/bin/env bash
# promtool, for the tests of alerts: prints its path. The machine's own, else that of Debian's package prometheus, which
# is unpacked into $GAOLER_CACHE and not installed: it would start a server.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/cache.sh
. "$here/cache.sh"
unpacked=$GAOLER_CACHE/prometheus
promtool=$unpacked/usr/bin/promtool

say() { printf 'promtool: %s\n' "$*" >&2; }
if command -v promtool; then exit 0; fi
if ! [ -x "$promtool" ]; then
  command -v apt-get >/dev/null || { say "needs promtool on PATH (it comes with Prometheus)"; exit 1; }
  work=$(mktemp -d "$GAOLER_CACHE/prometheus.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  say "unpacking Debian's prometheus into $unpacked"
  # As root apt would fetch as its own user, who may not write here.
  fetch() { (cd "$work" && apt-get -o APT::Sandbox::User=root download -qq prometheus >/dev/null 2>&1); }
  fetch || { [ "$(id -u)" = 0 ] && apt-get update -qq && fetch; } || { say "apt-get could not download prometheus"; exit 1; }
  dpkg-deb --fsys-tarfile "$work"/*.deb | tar -xC "$work" ./usr/bin/promtool
  mkdir -p "${promtool%/*}"
  mv "$work/usr/bin/promtool" "$promtool"
fi
echo "$promtool"
