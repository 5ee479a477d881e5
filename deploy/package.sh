#!/usr/bin/env bash
# Makes the Debian package: deploy/package.sh [VERSION [ARCH]], into dist/.
# It needs Go and nfpm: go install github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.0
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:-0.0.0~dev}
arch=${2:-$(go env GOARCH)}
export VERSION=$version ARCH=$arch
tree=dist/package
rm -rf "$tree"
mkdir -p "$tree"/completions

flags=(-trimpath -ldflags "-s -w -X main.version=$version")
CGO_ENABLED=0 GOARCH=$arch go build "${flags[@]}" -o "$tree/kurir" ./cmd/kurir
kurir=$tree/kurir
if [ "$arch" != "$(go env GOARCH)" ]; then # the pages come from a program that runs here
	kurir=dist/kurir-here
	CGO_ENABLED=0 go build "${flags[@]}" -o "$kurir" ./cmd/kurir
fi
"$kurir" reference --man "$tree/man"
for page in "$tree"/man/*; do gzip -9n "$page"; done
for shell in bash zsh fish; do "$kurir" completion "$shell" >"$tree/completions/$shell"; done
gzip -9nc CHANGELOG.md >"$tree/CHANGELOG.md.gz"

nfpm=$(command -v nfpm || echo "$(go env GOPATH)/bin/nfpm")
"$nfpm" package --config deploy/nfpm.yaml --packager deb --target dist/
