#!/usr/bin/env bash
# Makes the two images the Dockerfile builds upon, under their own names, from Debian packages and the Rust toolchain of
# this machine: for where no image registry can be reached. Made once; needs root.
#   scripts/base-images.sh STORE       STORE: buildah's storage
set -euo pipefail
umask 022
store=$1
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=${STORAGE_DRIVER:-overlay}
b() { buildah --root "$store/images" --runroot "$store/run" "$@"; }
say() { printf 'base-images: %s\n' "$*" >&2; }
rust=docker.io/library/rust:1-bookworm debian=docker.io/library/debian:bookworm-slim

if ! b inspect --type image "$debian" >/dev/null 2>&1; then
  say "making $debian of Debian packages (half a minute)"
  work=$(mktemp -d "$store/new.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  without=()
  for part in doc man info locale groff lintian; do without+=(--dpkgopt="path-exclude=/usr/share/$part/*"); done
  # As the official image: its /usr is merged by a hook, because the package usrmerge would draw perl in.
  mmdebstrap --quiet --variant=apt --include=usr-is-merged --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --dpkgopt=force-unsafe-io "${without[@]}" --dpkgopt='path-include=/usr/share/doc/*/copyright' bookworm "$work/base.tar"
  c=$(b from scratch)
  b add -q "$c" "$work/base.tar" / >/dev/null
  b config --cmd bash --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$c"
  b run "$c" -- sh -ec 'rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
    echo "APT::Keep-Downloaded-Packages \"false\"; Dir::Cache::pkgcache \"\"; Dir::Cache::srcpkgcache \"\";" >/etc/apt/apt.conf.d/clean
    echo "DPkg::Post-Invoke { \"rm -f /var/cache/apt/archives/*.deb\"; };" >>/etc/apt/apt.conf.d/clean'
  b commit -q --rm "$c" "$debian" >/dev/null
fi

if ! b inspect --type image "$rust" >/dev/null 2>&1; then
  say "making $rust of $(rustc --version)"
  toolchain=$(rustc --print sysroot)
  c=$(b from --pull-never "$debian")
  b run "$c" -- sh -ec 'apt-get update -qq
    apt-get install -y -qq --no-install-recommends ca-certificates gcc libc6-dev pkg-config >/dev/null; rm -rf /var/lib/apt/lists/*'
  # Without share/: 0.8 GB of documentation.
  b copy -q "$c" "$toolchain/bin" /usr/local/bin/ >/dev/null
  b copy -q "$c" "$toolchain/lib" /usr/local/lib/ >/dev/null
  # This machine's, for the way to its registry of crates. In the builder only.
  b copy -q "$c" /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt >/dev/null
  b config --env CARGO_HOME=/usr/local/cargo \
    --env PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$c"
  b commit -q --rm "$c" "$rust" >/dev/null
fi
