#!/bin/sh
# Unpacks a package of Debian 13 (trixie) into a folder.
#
#   fetch_debian_package.sh FOLDER PACKAGE [SHA256]
#
# Nothing is installed, root is not needed and the machine's own package lists stay untouched: apt
# runs on a private configuration made of the mirrors this machine already uses, with the release
# changed, and checks what it gets by Debian's signatures.  SHA256 is that of the package file.  The
# package lists stay in FOLDER/apt for the next package.
set -eu

SUITE=trixie

fail() {
    echo "fetch_debian_package: $*" >&2
    exit 1
}

[ $# -eq 2 ] || [ $# -eq 3 ] || fail "usage: $0 FOLDER PACKAGE [SHA256]"
package=$2
sha256=${3-}
for tool in apt-get apt-config dpkg-deb; do
    command -v "$tool" >/dev/null || fail "$tool is not on this machine"
done
# shellcheck source=/dev/null
codename=$(. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME") ||
    fail "this machine does not run a release of Debian"

mkdir -p "$1"
target=$(cd "$1" && pwd)
private=$target/apt
rm -rf "$private/conf.d" "$private/sources.d"
mkdir -p "$private/conf.d" "$private/sources.d" "$private/lists/partial" \
    "$private/cache/archives/partial"

# The machine's settings (proxies, credentials) hold; its hooks, made for root, do not.
eval "$(apt-config shell etc Dir::Etc/d)"
cp "$etc"/apt.conf.d/* "$private/conf.d/" 2>/dev/null || true
cat >"$private/conf.d/zz-private" <<END
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
Acquire::Languages "none";
APT::Sandbox::User "root";
END

# The machine's own mirrors with the release changed, in both formats that sources come in.
for file in "$etc"/sources.list "$etc"/sources.list.d/*.list "$etc"/sources.list.d/*.sources; do
    if [ -f "$file" ]; then
        sed -E "/^(deb|Suites:)/ s/\b$codename\b/$SUITE/g" "$file" \
            >"$private/sources.d/$(basename "$file")"
    fi
done

cat >"$private/apt.conf" <<END
Dir::Etc::parts "$private/conf.d";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$private/sources.d";
Dir::State::lists "$private/lists";
Dir::Cache "$private/cache";
END
export APT_CONFIG="$private/apt.conf"

cd "$private"
rm -f "$package"_*.deb
if ! apt-get -q download "$package" 2>/dev/null; then
    # A third party's archive without this release makes the update fail; the download decides.
    apt-get -q update || true
    apt-get -q download "$package" || fail "apt-get could not download $package of $SUITE"
fi
file=$(echo "$package"_*.deb)
if [ -n "$sha256" ] && ! echo "$sha256  $file" | sha256sum --check --status; then
    fail "$file has SHA-256 $(sha256sum "$file" | cut -c 1-64), not $sha256"
fi
dpkg-deb -x "$file" "$target"
