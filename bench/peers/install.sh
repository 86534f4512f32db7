#!/bin/sh
# Installs the peers' servers from Debian, unless they are there. No service is started or enabled, and PostgreSQL gets no
# cluster: the benchmark starts servers of its own, in a temporary folder, on loopback.
set -eu

missing=
command -v redis-server >/dev/null || missing="$missing redis-server"
[ -x /usr/lib/postgresql/15/bin/postgres ] || missing="$missing postgresql-15"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "bench-peers needs$missing: install it as root (on Debian: apt-get install --no-install-recommends$missing)," >&2
	echo "or run this as root on Debian; only the peers whose servers are there are measured" >&2
	exit 0
fi

# Packages ask policy-rc.d before they start a service: 101 forbids it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
# postgresql-common reads this before it would make a cluster.
cluster=/etc/postgresql-common/createcluster.conf
if [ ! -e "$cluster" ]; then
	mkdir -p "${cluster%/*}"
	echo 'create_main_cluster = false' >"$cluster"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold $missing ||
	{ apt-get update && apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold $missing; }
case "$missing" in *redis-server*) systemctl disable redis-server >/dev/null 2>&1 || true ;; esac
case "$missing" in *postgresql*) systemctl disable postgresql >/dev/null 2>&1 || true ;; esac
