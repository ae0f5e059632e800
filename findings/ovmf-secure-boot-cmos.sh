#!/usr/bin/env bash
# OVMF finds its memory by `etc/e820`, and with Secure Boot a part of it by CMOS registers 0x34 and 0x35 all the same.
#
# What one would think: OVMF has taken the memory map from the fw_cfg file `etc/e820` for years, where there is one,
# and the sizes in the real-time clock's memory are for firmware of the past: a machine without them runs every OVMF.
# What was seen: images without system management mode do not look at them. The others (.secboot) read them once
# each, of 2022.11 as of 2026.08: the driver for SMRAM takes the end of low memory from there and programs the host
# bridge's TSEG base below it. In 2022.11 that register is also where SMRAM is looked for afterwards.
#
# Versions: ovmf 2022.11-6+deb12u2 (bookworm), 2025.02-8+deb13u1 (trixie) and ovmf-generic 2026.08+ds-2 (sid), in
# QEMU 1:10.0.2+ds-2+deb13u1~bpo12+1 (bookworm-backports), TCG. Seen on 30 November 2026.
#
# Needs Debian 12 or later and some minutes. Status 0: as described. 1: something is different. 2: could not
# be tried, for example because the archive has other versions by now.
set -euo pipefail

qemu_version='1:10.0.2+ds-2+deb13u1~bpo12+1'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# --- packages, unpacked and not installed --------------------------------------------------------

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# use SUITE...: sets `apt`.
use() {
  rm -rf lists cache
  mkdir -p lists/partial cache/archives/partial
  : >status
  printf "deb [arch=amd64 signed-by=$keyring] http://deb.debian.org/debian %s main\n" "$@" >sources.list
  apt=(-qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::preferencesparts=/dev/null -o Dir::State::lists="$work/lists"
    -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root
    -o APT::Install-Recommends=false -o Debug::NoLocking=true)
  apt-get "${apt[@]}" update >log 2>&1 || { cat log && exit 2; }
}

# firmware SUITE PACKAGE VERSION
firmware() {
  use "$1"
  (cd cache/archives && apt-get "${apt[@]}" download "$2=$3") >log 2>&1 || { cat log && exit 2; }
  dpkg-deb -x cache/archives/"$2"_*.deb "$1"
}

firmware bookworm ovmf 2022.11-6+deb12u2
firmware trixie ovmf 2025.02-8+deb13u1
firmware sid ovmf-generic 2026.08+ds-2
use bookworm bookworm-backports
apt-get "${apt[@]}" -y --download-only install -t bookworm-backports \
  "qemu-system-x86=$qemu_version" >log 2>&1 || { cat log && exit 2; }
for package in cache/archives/*.deb; do
  dpkg-deb -x "$package" tree
done
libraries=$work/tree/lib/x86_64-linux-gnu:$work/tree/usr/lib/x86_64-linux-gnu
command=("$work/tree/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --library-path "$libraries"
  "$work/tree/usr/bin/qemu-system-x86_64" -L "$work/tree/usr/share/qemu"
  -L "$work/tree/usr/share/seabios")

# --- which registers they select -----------------------------------------------------------------

# selected SUITE IMAGE: how often 0x34 and how often 0x35 is written to port 0x70 while the image starts, and
# how many different values are.
selected() {
  cp "$1/usr/share/OVMF/OVMF_VARS_4M.fd" variables
  timeout 30 "${command[@]}" -machine q35,smm=on -m 512 -display none -net none \
    -global driver=cfi.pflash01,property=secure,value=on \
    -drive "if=pflash,format=raw,readonly=on,file=$1/usr/share/OVMF/$2" \
    -drive if=pflash,format=raw,file=variables -trace memory_region_ops_write 2>&1 </dev/null |
    grep -aE 'addr 0x70 ' | grep -aoE 'value 0x[0-9a-f]+' >written || true
  printf '%s %s %s\n' "$(grep -c '0x34$' written)" "$(grep -c '0x35$' written)" \
    "$([[ $(sort -u written | wc -l) -gt 10 ]] && echo many || echo few)"
}

status=0

# expect SUITE IMAGE RESULT
expect() {
  local low high registers
  read -r low high registers <<<"$(selected "$1" "$2")"
  echo "$1, $2: 0x34 $low times, 0x35 $high times, of $registers registers"
  if [[ "$low $high $registers" != "$3" ]]; then
    echo "not as it was: $3"
    status=1
  fi
}

for suite in bookworm trixie sid; do
  expect "$suite" OVMF_CODE_4M.fd '0 0 many'
  expect "$suite" OVMF_CODE_4M.secboot.fd '1 1 many'
done
exit "$status"
