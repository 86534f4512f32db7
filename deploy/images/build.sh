#!/usr/bin/env bash
# build.sh TAG: builds every image as autoresearch/NAME:TAG, FROM scratch, with docker where its engine answers and else buildah.
#   ARCH      architectures, as "amd64 arm64"; several make a manifest list with buildah, and NAME:TAG-ARCH each with docker
#   VERSION   what the programs say they are
# The same sources make the same images, bit for bit. bin/images/ARCH/*.cdx.json are the bills of materials.
set -euo pipefail
cd "$(dirname "$0")/../.."
tag=${1:?usage: build.sh TAG}
arches=${ARCH:-$(go env GOARCH)}
context=bin/images
images=(coordinator worker autoresearch nats charlm)

programs() { # of one architecture
	mkdir -p "$context/$1"
	GOARCH=$1 CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X autoresearch/internal/cli.version=${VERSION:-dev}" \
		-o "$context/$1/" ./cmd/... ./examples/charlm github.com/nats-io/nats-server/v2
	for program in "$context/$1"/*; do
		case $program in *.json) continue ;; esac
		bin/tools/cyclonedx-gomod bin -json -std -noserial -output "$program.cdx.json" "$program" 2>/dev/null
	done
}

several=
if [[ $arches == *" "* ]]; then several=yes; fi
builder=buildah
docker info >/dev/null 2>&1 && builder=docker
for arch in $arches; do
	programs "$arch"
done
for image in "${images[@]}"; do
	name=autoresearch/$image:$tag
	buildah_to=(-t "localhost/$name")
	if [ $builder = buildah ] && [ $several ]; then
		buildah manifest rm "localhost/$name" >/dev/null 2>&1 || true
		buildah_to=(--manifest "localhost/$name")
	fi
	for arch in $arches; do
		common=(-q --build-arg "TARGETARCH=$arch" -f "deploy/images/$image.Dockerfile")
		case $builder in
		docker) docker build "${common[@]}" --platform "linux/$arch" -t "$name${several:+-$arch}" "$context" ;;
		buildah) buildah bud "${common[@]}" --isolation chroot --timestamp 0 --arch "$arch" "${buildah_to[@]}" "$context" ;;
		esac
	done
	echo "$name ($arches, $builder)"
done
