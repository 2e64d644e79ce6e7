#!/bin/sh
# Installs packages into the first stage of an image, where its base does not have them already.
#
#   install.sh PACKAGE...               runs in the Dockerfiles, on Debian
#
# PostgreSQL's client comes from the PostgreSQL project's own repository for Debian, whose key Debian's
# postgresql-common carries: Debian itself has one major version per release.
set -eu

missing=
for package in "$@"; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
case $missing in
*postgresql-client*)
    apt-get -qq install --yes --no-install-recommends ca-certificates postgresql-common >/dev/null
    . /etc/os-release
    key=/usr/share/postgresql-common/pgdg/apt.postgresql.org.asc
    echo "deb [signed-by=$key] https://apt.postgresql.org/pub/repos/apt $VERSION_CODENAME-pgdg main" \
        >/etc/apt/sources.list.d/pgdg.list
    apt-get -qq update
    ;;
esac
# shellcheck disable=SC2086 # a list of packages
apt-get -qq install --yes --no-install-recommends $missing >/dev/null
