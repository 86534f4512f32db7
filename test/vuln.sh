#!/usr/bin/env bash
# vuln.sh GOVULNCHECK: looks for known vulnerabilities in what the programs call, those of NATS's image included. It ends with 3
# when there is one. Where the database cannot be reached it ends with 0, and says that nothing was checked and why. GOVULNDB is
# another database: the URL of a mirror, or file:///DIR.
set -uo pipefail
cd "$(dirname "$0")/.."

db=${GOVULNDB:-https://vuln.go.dev}
out=$(CGO_ENABLED=0 "$1" -db "$db" ./cmd/... github.com/nats-io/nats-server/v2 2>&1)
code=$?
why=$(grep -m1 'fetching vulnerabilities' <<<"$out")
if [ $code -ne 0 ] && [ -n "$why" ]; then
  printf 'vuln: NOT CHECKED: the database of vulnerabilities (%s) cannot be reached from here\n%s\n' "$db" "$why"
  exit 0
fi
printf '%s\n' "$out"
exit $code
