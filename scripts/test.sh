#!/usr/bin/env bash
# The steps of `make test`, in an order that fails early. Any failing step ends the run with its name.
#   scripts/test.sh            all steps
#   scripts/test.sh fmt clippy only these
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/cache.sh
. scripts/cache.sh
standalone=(--no-default-features --features standalone)
target=${CARGO_TARGET_DIR:-target}
binary=${GAOLER_BINARY:-$target/debug/gaoler} # what the harness runs
python=/usr/bin/python3
export INSTA_UPDATE=no INSTA_WORKSPACE_ROOT=$PWD

step_setup() { scripts/setup.sh test; }
step_fmt() { cargo fmt --all --check; }
step_clippy() {
  cargo clippy --locked --all-targets -- -D warnings
  cargo clippy --locked --all-targets "${standalone[@]}" -- -D warnings
}
step_deny() { PATH=$GAOLER_TOOLS/bin:$PATH cargo deny --locked check --hide-inclusion-graph bans licenses sources; }
step_standalone() { cargo build --locked "${standalone[@]}"; } # the core does not know Kubernetes
step_cargo() { cargo test --locked; }
step_reference() { "$python" scripts/reference.py "$target/debug/gaoler" --check; }
step_harness() { "$python" tests/harness/run.py --jobs 3 --binary "$binary"; }

steps=("$@")
[ ${#steps[@]} -gt 0 ] || steps=(setup fmt deny clippy standalone cargo reference harness)
current=
trap '[ $? -eq 0 ] || printf "\ntest: step \"%s\" FAILED\n" "$current" >&2' EXIT
for current in "${steps[@]}"; do
  declare -F "step_$current" >/dev/null || { echo "no such step: $current" >&2; exit 2; }
  began=$SECONDS
  printf '\n== %s\n' "$current"
  "step_$current"
  printf '== %s: ok, %s s\n' "$current" $((SECONDS - began))
done
