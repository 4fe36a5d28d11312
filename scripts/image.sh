#!/usr/bin/env bash
# Builds the image of the Dockerfile with buildah and writes it as an OCI archive; prints its path, digest and size.
#   scripts/image.sh [BUILDAH'S OPTIONS]      e.g. --no-cache
#   scripts/image.sh --platform=linux/arm64   cross-built (docs/how-to/arm64.md)
# Where the bases cannot be pulled, scripts/base-images.sh makes them of Debian packages. Everything stays in
# $GAOLER_CACHE/images: `rm -r` it and nothing is left.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/cache.sh
. "$here/cache.sh"
root=${here%/*}
store=$GAOLER_CACHE/images
# Another architecture's image has its name beside the machine's own. buildah 1.28 takes BUILDPLATFORM for the target's,
# and would look for bases of that kind.
options=("$@") suffix=
for option in "$@"; do
  case $option in
    --platform=linux/*)
      suffix=-${option#--platform=linux/}
      case $(uname -m) in x86_64) own=amd64 ;; aarch64) own=arm64 ;; *) own=$(uname -m) ;; esac
      options+=(--build-arg "BUILDPLATFORM=linux/$own")
      ;;
  esac
done
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=${STORAGE_DRIVER:-overlay}
b() { buildah --root "$store/images" --runroot "$store/run" "$@"; }
say() { printf 'image: %s\n' "$*" >&2; }
mkdir -p "$store"

for base in $(sed -n 's/^ARG [A-Z]*=\(docker\.io.*\)/\1/p' "$root/Dockerfile"); do
  b inspect --type image "$base" >/dev/null 2>&1 || timeout 60 buildah --root "$store/images" --runroot "$store/run" pull -q "$base" >/dev/null 2>&1 || {
    say "$base cannot be pulled"
    "$here/base-images.sh" "$store"
  }
done
version=$(sed -n '/^version = /{s/^version = "\(.*\)"/\1/p;q}' "$root/Cargo.toml")
revision=$(git -C "$root" describe --always --abbrev=40 --exclude='*' --dirty 2>/dev/null || echo unknown)
# The same digest for the same sources, whatever was built before: every time in the image is 0 (with the commit's, a
# layer from the cache would have the time of the commit it was made for), and version and revision are written over
# the finished image (buildah 1.28 takes a LABEL from its cache although its ARG is another one now).
# The builder keeps what cargo built below TMPDIR.
mkdir -p "$store/kept"
TMPDIR=$store/kept b build --pull-never --layers --timestamp 0 -t "localhost/gaoler:build$suffix" "${options[@]}" "$root" >&2
container=$(b from --pull-never "localhost/gaoler:build$suffix")
b config --label org.opencontainers.image.version="$version" --label org.opencontainers.image.revision="$revision" ${suffix:+--arch "${suffix#-}"} "$container" >&2
b commit -q --rm --timestamp 0 "$container" "localhost/gaoler:$version$suffix" >&2
archive=$store/gaoler-$version$suffix.oci.tar
rm -f "$archive"
b push -q "localhost/gaoler:$version$suffix" "oci-archive:$archive:docker.io/library/gaoler:$version" >&2
# What was built before stays as the cache of the next build; `buildah rmi --prune` in the store frees it.
digest=$(tar -xOf "$archive" index.json | sed -n 's/.*"digest":"\([^"]*\)".*/\1/p')
size=$(stat -c %s "$archive")
printf '%s\n%s\n%s bytes compressed\n' "$archive" "$digest" "$size"
