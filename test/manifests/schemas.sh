#!/usr/bin/env bash
# schemas.sh DIR: makes the strict schemas of Kubernetes and of the CRDs in DIR, unless they are there.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=${1:?usage: schemas.sh DIR}

kubernetes=k8s.io/kubernetes@v1.37.2
crds=(
	github.com/kedacore/keda/v2@v2.21.0:config/crd/bases
	github.com/prometheus-operator/prometheus-operator@v0.85.0:example/prometheus-operator-crd
	github.com/cert-manager/cert-manager@v1.21.2:deploy/crds
)
from="$kubernetes ${crds[*]} $(cksum <test/manifests/schemas/main.go)"
[ "$(cat "$dir/from" 2>/dev/null)" != "$from" ] || exit 0

module() { # where the files of MODULE@VERSION lie
	GOFLAGS=-mod=mod go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'
}

rm -rf "$dir"
files=()
for crd in "${crds[@]}"; do
	files+=("$(module "${crd%%:*}")/${crd#*:}"/*.yaml)
done
go run ./test/manifests/schemas -out "$dir" "$(module $kubernetes)/api/openapi-spec/swagger.json" "${files[@]}"
echo "$from" >"$dir/from"
