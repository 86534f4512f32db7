#!/bin/sh
# Plays chaos for so many minutes, shared by the seeds. Usage: run.sh MINUTES SEED...
set -eu
minutes=$1
shift
cd "$(dirname "$0")/../.."
if ! command -v ip >/dev/null; then # partitions need it
	if [ "$(id -u)" = 0 ] && apt-get install -y --no-install-recommends iproute2 >/dev/null 2>&1; then
		echo "iproute2 was installed"
	else
		echo "iproute2 is not installed, and cannot be by this user: partitions are skipped"
	fi
fi
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/" ./test/chaos
each=$(awk "BEGIN { printf \"%.0fs\", $minutes * 60 / $# }")
red=0
for seed in "$@"; do
	"$bin/chaos" -seed "$seed" -for "$each" || red=1
	echo
done
exit $red
