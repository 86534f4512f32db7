#!/usr/bin/env bash
# Installs Debian's chromium where it is missing and that can be done. Where it cannot, the tests say that they are skipped.
set -euo pipefail
if command -v chromium >/dev/null; then
  exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "there is no chromium here, and it cannot be installed: the tests of the dashboard are skipped"
  exit 0
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
