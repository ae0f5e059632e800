#!/usr/bin/env bash
# Debian's linux-image packages of Linux 7 hold no kernel.
#
# What one would think: linux-image-VERSION has /boot/vmlinuz-VERSION and the modules, as it has had for
# twenty years, so unpacking that package is enough to boot it somewhere else.
# What was seen: linux-image-7.3.4+deb13-cloud-amd64 is an empty package that depends on two others.
# linux-binary-VERSION has the kernel, as usr/lib/modules/VERSION/vmlinuz and not below /boot;
# linux-modules-VERSION has the modules. linux-image-6.12 of trixie still has all in one.
#
# Versions: 7.3.4+deb13 of trixie-backports and 6.12.107+deb13 of trixie, seen on 28 November 2026.
#
# Needs Debian 12 or later. Status 0: as described. 1: something is different. 2: could not be tried, for
# example because the archive has other versions by now.
set -euo pipefail

old=6.12.107+deb13-cloud-amd64
new=7.3.4+deb13-cloud-amd64

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p lists/partial cache/archives/partial
: >status
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
printf "deb [arch=amd64 signed-by=$keyring] http://deb.debian.org/debian %s main\n" \
  trixie trixie-backports >sources.list
apt=(-qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache"
  -o APT::Sandbox::User=root -o Debug::NoLocking=true)
apt-get "${apt[@]}" update >log 2>&1 || { cat log && exit 2; }

# kernels PACKAGE: files of the package that are kernels.
kernels() {
  rm -f ./*.deb
  apt-get "${apt[@]}" download "$1" >log 2>&1 || { cat log >&2 && exit 2; }
  dpkg-deb -c ./*.deb | sed -n 's|.* \./\(.*vmlinuz.*\)|\1|p'
}

status=0
# expect PACKAGE KERNEL
expect() {
  local found
  found=$(kernels "$1")
  printf '%s: %s\n' "$1" "${found:-no kernel}"
  [[ $found == "$2" ]] || status=1
}

expect "linux-image-$old" "boot/vmlinuz-$old"
expect "linux-image-$new" ''
expect "linux-binary-$new" "usr/lib/modules/$new/vmlinuz"
expect "linux-modules-$new" ''
exit "$status"
