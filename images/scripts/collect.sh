#!/bin/sh
# Collects a program's run-time file system: the files named, the libraries that they load, and little else.
#
#   collect.sh DIRECTORY FILE...        runs in the first stage of the images' Dockerfiles, on Debian
#
# What comes out has no shell and no package manager. It keeps what a scanner and a lawyer ask for: which packages the
# files are of (var/lib/dpkg/status) and under which terms (usr/share/doc).
set -eu

root=$1
shift

mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/usr/lib64" "$root/etc/ssl/certs" "$root/var/lib/dpkg" "$root/tmp" \
    "$root/usr/share/doc" "$root/dev" "$root/proc" "$root/sys"
for directory in bin lib lib64; do ln -s "usr/$directory" "$root/$directory"; done

# Each file, under the name that the loader looks for.
files=$(for file in "$@"; do
    echo "$file"
    ldd "$file" | grep -o '/[^ ]*'
done | sort -u)
for file in $files /etc/ssl/certs/ca-certificates.crt /etc/os-release; do
    mkdir -p "$root$(dirname "$file")"
    cp -L "$file" "$root$file"
done

# A number that needs no look-up: orchestrators can tell that it is not root.
echo 'migration:x:65532:65532::/:/none' >"$root/etc/passwd"
echo 'migration:x:65532:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"

# dpkg knows a merged /usr by either name.
packages=$(for file in $files; do
    real=$(readlink -f "$file")
    owner=
    for name in "$file" "$real" "${real#/usr}" "/usr$real"; do
        owner=$(dpkg-query --search "$name" 2>/dev/null | grep -v '^diversion ' | head -n 1)
        [ -z "$owner" ] || break
    done
    # Ours is of no package; of anything else the bill of materials would not know.
    case $file:$owner in
    /usr/bin/migrate-*:) ;;
    *:) echo "unknown:$file" ;;
    *) echo "${owner%%:*}" ;;
    esac
done | sort -u)
case $packages in
*unknown:*)
    echo "collect.sh: files of no package: $packages" >&2
    exit 1
    ;;
esac
for package in $packages base-files ca-certificates; do
    dpkg-query --status "$package"
    echo
    if [ -f "/usr/share/doc/$package/copyright" ]; then
        mkdir -p "$root/usr/share/doc/$package"
        cp -L "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/copyright"
    fi
done >"$root/var/lib/dpkg/status"
