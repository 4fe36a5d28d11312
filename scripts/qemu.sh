#!/usr/bin/env bash
# qemu-aarch64, which runs single programs of arm64, for the check of that image: prints its path. Debian's package
# qemu-user-static is unpacked into $GAOLER_CACHE and not installed: it would register itself with this machine's kernel.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/cache.sh
. "$here/cache.sh"
qemu=$GAOLER_CACHE/qemu/qemu-aarch64-static

say() { printf 'qemu: %s\n' "$*" >&2; }
if command -v qemu-aarch64-static; then exit 0; fi
if ! [ -x "$qemu" ]; then
  command -v apt-get >/dev/null || { say "needs qemu-aarch64-static on PATH"; exit 1; }
  work=$(mktemp -d "$GAOLER_CACHE/qemu.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  say "unpacking it of Debian's qemu-user-static (60 MB, of which 13 stay)"
  # As root apt would fetch as its own user, who may not write here.
  fetch() { (cd "$work" && apt-get -o APT::Sandbox::User=root download -qq qemu-user-static >/dev/null 2>&1); }
  fetch || { [ "$(id -u)" = 0 ] && apt-get update -qq && fetch; } || { say "apt-get could not download qemu-user-static"; exit 1; }
  dpkg-deb --fsys-tarfile "$work"/*.deb | tar -xC "$work" ./usr/bin/qemu-aarch64-static
  mkdir -p "${qemu%/*}"
  mv "$work/usr/bin/qemu-aarch64-static" "$qemu"
fi
echo "$qemu"
