#!/usr/bin/env bash
# The images of the end-to-end tests beside Gaoler's own: James and the pause program of pods, as archives in
# $GAOLER_CACHE/images, built once for what they are made of; prints their paths.
#   scripts/test-images.sh JARS        JARS: the directory with James' jars
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/cache.sh
. "$here/cache.sh"
jars=$1
files=${here%/*}/tests/e2e/images
store=$GAOLER_CACHE/images
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=${STORAGE_DRIVER:-overlay}
b() { buildah --root "$store/images" --runroot "$store/run" "$@"; }
say() { printf 'test-images: %s\n' "$*" >&2; }
mkdir -p "$store"

# make NAME CONTEXT WHAT...: WHAT tells one image from the next
make() {
  local name=$1 context=$2 key archive
  shift 2
  key=$(cat "$files/$name.Dockerfile" "$@" | sha256sum | cut -c1-12)
  archive=$store/$name-$key.tar
  if ! [ -f "$archive" ]; then
    say "building localhost/$name:1 (once)"
    b build --pull-never --layers -t "localhost/$name:1" -f "$files/$name.Dockerfile" "$context" >&2
    # Without compression: each node unpacks it.
    b push -q "localhost/$name:1" "docker-archive:$archive.new:localhost/$name:1" >&2
    mv "$archive.new" "$archive"
  fi
  echo "$archive"
}

debian=$(sed -n 's/^ARG DEBIAN=//p' "$files/james.Dockerfile")
b inspect --type image "$debian" >/dev/null 2>&1 || timeout 60 buildah --root "$store/images" --runroot "$store/run" pull -q "$debian" >/dev/null 2>&1 || {
  say "$debian cannot be pulled"
  "$here/base-images.sh" "$store"
}
work=$(mktemp -d "$store/new.XXXXXX")
trap 'rm -rf "$work"' EXIT
cp "$(command -v catatonit)" "$work/catatonit"
make pause "$work" "$work/catatonit"
make james "$jars" <(cd "$jars" && sha256sum -- *.jar)
