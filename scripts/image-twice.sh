#!/usr/bin/env bash
# Builds the image of this commit twice from nothing and says whether both have the same digest, or where they differ.
# Each build has a clone at another path and with another umask, and bases, packages, crates and a builder of its own.
# Takes 16 minutes of CPU and 5 GB of disk meanwhile. What was not committed is not in it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/cache.sh
. "$here/cache.sh"
say() { printf 'image-twice: %s\n' "$*" >&2; }
work=$(mktemp -d "$GAOLER_CACHE/twice.XXXXXX")
trap 'rm -rf "$work"' EXIT

build() { # build DIRECTORY UMASK
  local directory=$work/$1 told
  mkdir -p "$directory"
  told=$(
    umask "$2"
    git clone -q "${here%/*}" "$directory/source"
    cd "$directory/source"
    GAOLER_CACHE=$directory scripts/image.sh 2>"$work/log"
  ) || { tail -n 40 "$work/log" >&2; say "build $1 failed"; exit 1; }
  mv "$(head -1 <<<"$told")" "$work/$1.tar"
  rm -rf "$directory"
  sed -n 2p <<<"$told"
}

# Every blob: names, modes, owners, times and sums of what is in a layer; configurations as they are.
contents() {
  local blobs=$work/blobs blob
  mkdir "$blobs"
  tar -xf "$1" -C "$blobs"
  for blob in "$blobs"/blobs/sha256/*; do
    if gzip -t "$blob" 2>/dev/null; then
      tar --full-time -tvzf "$blob"
      # shellcheck disable=SC2016 # tar's variable
      tar -xzf "$blob" --to-command='echo "$TAR_FILENAME $(sha256sum)"'
    else
      python3 -m json.tool "$blob"
    fi
  done
  rm -r "$blobs"
}

one=$(build one 022)
say "first: $one"
two=$(build elsewhere/two 077)
say "second: $two"
if [ "$one" = "$two" ]; then
  printf '%s twice\n' "$one"
else
  diff <(contents "$work/one.tar") <(contents "$work/elsewhere/two.tar") | head -n 100
  say "not the same image"
  exit 1
fi
