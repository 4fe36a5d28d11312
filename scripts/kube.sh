#!/usr/bin/env bash
# Kubernetes' own programs and etcd, built from their Go modules (tests/cluster/kube/go.mod pins them) into
# $GAOLER_CACHE, once.
#   scripts/kube.sh etcd kube-apiserver kubectl ...    builds what is missing; prints the path of each, in that order
#   scripts/kube.sh --pin v1.35.4                      moves the pins to another version
# KUBEBUILDER_ASSETS: a directory with etcd, kube-apiserver and kubectl (as setup-envtest makes it): what it has is taken.
#
# Needs Go 1.25 or later and its module proxy, no C compiler. Cold it takes 11 minutes of CPU for all seven programs, 8 of
# them for the API server; 0.5 GB for the seven. Go's own caches, where `go env` says, grow by 3.7 GB; they help when
# a build was interrupted, and the next version a little: `go clean -cache -modcache` gives them back.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/cache.sh
. "$here/cache.sh"
# shellcheck source=scripts/go.sh
. "$here/go.sh"
pins=$here/../tests/cluster/kube
known="etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl"
export CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off

say() { printf 'kube: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# k8s.io/kubernetes is no library: its go.mod replaces the staging modules by folders. Here they are replaced by what
# is published of them, v0.X.Y for v1.X.Y.
pin() {
  local version=$1 module
  cd "$pins"
  [ -f go.mod ] || go mod init kubebins >/dev/null 2>&1
  module=$(go mod edit -json "$(go mod download -json "k8s.io/kubernetes@$version" | jq -r .GoMod)")
  {
    printf 'module kubebins\n\ngo %s\n\ntool (\n' "$(jq -r .Go <<<"$module")"
    for program in $known; do
      case $program in etcd) echo "	go.etcd.io/etcd/server/v3" ;; *) echo "	k8s.io/kubernetes/cmd/$program" ;; esac
    done
    printf ')\n\nrequire k8s.io/kubernetes %s\n\nreplace (\n' "$version"
    # Replaced by ./staging there, or required at v0.0.0, which does not exist.
    jq -r '[(.Replace // [])[] | select((.New.Path // "") | startswith("./staging/")) | .Old.Path]
      + [(.Require // [])[] | select(.Version == "v0.0.0" and (.Path | startswith("k8s.io/"))) | .Path] | unique[]' <<<"$module" |
      sed "s/.*/	& => & v0.${version#v1.}/"
    echo ')'
  } >go.mod.new
  mv go.mod.new go.mod
  rm -f go.sum
  GOFLAGS=-mod=mod go list -deps tool >/dev/null
}

build() {
  local program=$1 package version minor flags variable made began=$SECONDS
  case $program in
    etcd) package=go.etcd.io/etcd/server/v3 made=server ;;
    *) package=k8s.io/kubernetes/cmd/$program made=$program ;;
  esac
  version=v$kubernetes minor=${kubernetes#1.} flags="-s -w"
  # Without these every program calls itself v0.0.0-master.
  for variable in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $variable.gitVersion=$version -X $variable.gitMajor=1 -X $variable.gitMinor=${minor%%.*} -X $variable.gitTreeState=archive"
  done
  say "building $program $version (minutes, once)"
  (cd "$pins" && GOFLAGS="-mod=readonly -buildvcs=false" nice -n 10 go build -trimpath -ldflags "$flags" -o "$new/$made" "$package" \
    2> >(grep --line-buffered -v '^go: downloading ' >&2)) || die "$program could not be built"
  # In one step, so that a build that is killed leaves nothing that looks finished.
  mv "$new/$made" "$bin/$program"
  say "built $program in $((SECONDS - began)) s"
}

if [ "${1:-}" = --pin ]; then
  find_go || die "needs Go 1.25 or later"
  pin "${2:?which version?}"
  exit 0
fi

kubernetes=$(sed -n 's|^require k8s.io/kubernetes v||p' "$pins/go.mod")
bin=$GAOLER_CACHE/kube-$kubernetes-$(sha256sum "$pins/go.mod" | cut -c1-12)/bin
[ $# -gt 0 ] || die "which? $known"

ready=${KUBEBUILDER_ASSETS:-/nonexistent}
for program in etcd kube-apiserver kubectl; do
  [ -x "$ready/$program" ] || ready=/nonexistent
done
missing=()
for program in "$@"; do
  [[ " $known " = *" $program "* ]] || die "no such program: $program ($known)"
  [ -x "$ready/$program" ] || [ -x "$bin/$program" ] || missing+=("$program")
done
if [ ${#missing[@]} -gt 0 ]; then
  find_go || die "needs Go 1.25 or later to build ${missing[*]}: scripts/setup.sh cluster fetches it; or install it, or set
  KUBEBUILDER_ASSETS to a directory that has them ready"
  mkdir -p "$bin"
  # One build at a time; the others wait and find it done. The lock goes with the process.
  exec {lock}>"$bin/../lock"
  flock "$lock"
  rm -rf "$bin"/../new.*
  new=$(mktemp -d "$bin/../new.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  for program in "${missing[@]}"; do
    [ -x "$bin/$program" ] || build "$program"
  done
fi
for program in "$@"; do
  [ -x "$ready/$program" ] && echo "$ready/$program" || echo "$bin/$program"
done
