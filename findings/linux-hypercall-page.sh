#!/usr/bin/env bash
# A Linux 7.3 kernel does not tell modules where Hyper-V's hypercall page is: hv_hypercall_pg is gone.
#
# What one would think: a module that makes a hypercall calls the page at `hv_hypercall_pg`, which the kernel exports for
# hv_vmbus and everybody else, as all out-of-tree code for Hyper-V guests has it.
# What was seen: 6.1 and 6.12 export that symbol. 7.3 exports the trampoline of a static call, __SCT__hv_hypercall, in its
# place, whose target knows whether VMMCALL, VMCALL or something of its own is right. A module of the old kind does not
# load; one that uses hv_do_hypercall() of asm/mshyperv.h has nothing to change but has to be built anew.
#
# Versions: Debian's linux-headers-6.1.0-57-cloud-amd64 6.1.192-3 (bookworm-security),
# linux-headers-6.12.118+deb13-cloud-amd64 6.12.118-1 (trixie-security), linux-headers-7.3.4+deb13-cloud-amd64
# 7.3.4-1~bpo13+1 (trixie-backports). Seen on 30 November 2026:
#
#   6.1.192-3: hv_hypercall_pg
#   6.12.118-1: hv_hypercall_pg
#   7.3.4-1~bpo13+1: __SCT__hv_hypercall
#
# Needs Debian 12 or later and a minute. Status 0: as described. 1: something is different. 2: could not be tried,
# for example because the archive has other versions by now.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p lists/partial cache/archives/partial
: >status
{
  for suite in bookworm-security trixie-security; do
    echo "deb [arch=amd64 signed-by=$keyring] http://deb.debian.org/debian-security $suite main"
  done
  echo "deb [arch=amd64 signed-by=$keyring] http://deb.debian.org/debian trixie-backports main"
} >sources.list
apt=(-qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o Dir::Etc::preferencesparts=/dev/null -o Dir::State::lists="$work/lists"
  -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root
  -o Debug::NoLocking=true)
apt-get "${apt[@]}" update >log 2>&1 || { cat log && exit 2; }

# symbols PACKAGE VERSION: what the kernel exports of its hypercalls, as modules find it.
symbols() {
  (cd cache/archives && apt-get "${apt[@]}" download "$1=$2") >log 2>&1 || { cat log && exit 2; }
  dpkg-deb -x cache/archives/"$1"_*.deb "$1"
  printf '%s: ' "$2"
  awk '$3 == "vmlinux" && $2 ~ /^(__SCT__)?hv_hypercall/ { print $2 }' "$1"/usr/src/*/Module.symvers | tr '\n' ' ' | sed 's/ $//'
  echo
}

{
  symbols linux-headers-6.1.0-57-cloud-amd64 6.1.192-3
  symbols linux-headers-6.12.118+deb13-cloud-amd64 6.12.118-1
  symbols linux-headers-7.3.4+deb13-cloud-amd64 '7.3.4-1~bpo13+1'
} | tee seen

diff seen - <<'END' || exit 1
6.1.192-3: hv_hypercall_pg
6.12.118-1: hv_hypercall_pg
7.3.4-1~bpo13+1: __SCT__hv_hypercall
END
