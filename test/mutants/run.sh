#!/bin/sh
# Applies each patch of this folder to a copy of the tree and runs the simulator on it: each breaks one rule of the
# protocol, and the simulator must notice. Usage: run.sh [name...]; HISTORIES says how many histories it has for it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
missed=0
[ $# -gt 0 ] || set -- $(cd "$here" && ls ./*.patch | sed 's|^\./||; s|\.patch$||')
for name in "$@"; do
	rm -rf "$copy/tree" && mkdir "$copy/tree"
	cp -r "$root/go.mod" "$root/go.sum" "$root/pkg" "$root/internal" "$copy/tree/"
	if ! (cd "$copy/tree" && git apply "$here/$name.patch") >"$copy/log" 2>&1; then
		echo "STALE   $name: the patch does not apply" && missed=1 && continue
	fi
	if ! (cd "$copy/tree" && go vet ./pkg/coordinator) >"$copy/log" 2>&1; then
		echo "BROKEN  $name: $(head -3 "$copy/log" | tr '\n' ' ')" && missed=1 && continue
	fi
	if (cd "$copy/tree" && go test ./pkg/coordinator -count 1 -run 'TestSim$' -sim.histories="${HISTORIES:-3000}") >"$copy/log" 2>&1; then
		echo "MISSED  $name" && missed=1
	else
		echo "caught  $name: $(grep -m 1 -o 'seed [0-9]*: .*' "$copy/log" | cut -c 1-160)"
	fi
done
exit $missed
