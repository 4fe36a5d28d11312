#!/usr/bin/env bash
# The definitions of PodMonitor and PrometheusRule, as the Prometheus operator publishes them in its Go module: fetched
# once into $GAOLER_CACHE (4 MB, of which 70 KB stay), pinned by version and hash; prints the paths of both files.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/cache.sh
. "$here/cache.sh"
# shellcheck source=scripts/go.sh
. "$here/go.sh"
module=github.com/prometheus-operator/prometheus-operator version=v0.85.0
sum=h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=
files=(monitoring.coreos.com_podmonitors.yaml monitoring.coreos.com_prometheusrules.yaml)
kept=$GAOLER_CACHE/monitoring-crds-$version

say() { printf 'monitoring-crds: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

if ! [ -d "$kept" ]; then
  find_go || die "needs Go 1.25 or later: scripts/setup.sh cluster fetches it"
  work=$(mktemp -d "$GAOLER_CACHE/monitoring-crds.XXXXXX")
  # The module cache is read-only.
  trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
  say "fetching $module $version"
  (cd "$work" && GOMODCACHE=$work/modules GOTOOLCHAIN=local GOFLAGS= GOWORK=off go mod download -json "$module@$version" >"$work/told") ||
    die "the module could not be fetched: $(cat "$work/told")"
  grep -q "\"Sum\": \"$sum\"" "$work/told" || die "$module $version is not what it was"
  mkdir "$work/kept"
  for file in "${files[@]}"; do
    install -m 644 "$work/modules/$module@$version/example/prometheus-operator-crd/$file" "$work/kept/$file"
  done
  mv -T "$work/kept" "$kept" 2>/dev/null || [ -d "$kept" ]
fi
printf '%s\n' "${files[@]/#/$kept/}"
