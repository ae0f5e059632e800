#!/usr/bin/env bash
# Linux 6.12.118 calls the link power management of QEMU's AHCI drives broken, though they have none.
#
# What one would think: "LPM support broken, forcing max_power" is for drives on libata's list of those whose
# link power management does not work.
# What was seen: Linux 6.12.118 of Debian 13 warns so, twice, of the DVD drive on the AHCI adapter of QEMU's
# q35, which is on no list. The adapter offers neither the partial nor the slumber state (CAP.PSC, CAP.SSC),
# and that alone is enough. Linux 7.3.4 does not say it, nor does 6.1.0-56. An emulated adapter that offers both
# states, and follows PxCMD.ICC, gets no warning from any of them.
#
# Versions: QEMU 1:10.0.2+ds-2+deb13u1~bpo12+1 (bookworm-backports), Linux 6.12.118+deb13-amd64
# (Debian 13) and 7.3.4+deb13-amd64 (trixie-backports). Seen on 28 November 2026.
#
# Needs Debian 12 or later, 1 GiB of memory and some minutes. Status 0: as described. 1: something is
# different. 2: could not be tried, for example because the archive has other versions by now.
set -euo pipefail

qemu='1:10.0.2+ds-2+deb13u1~bpo12+1'
with=6.12.118+deb13-amd64
without=7.3.4+deb13-amd64

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# --- packages, unpacked and not installed --------------------------------------------------------

# apt_for DIRECTORY SUITE...: sets `apt` for these suites.
apt_for() {
  local directory=$work/$1 suite keyring=/usr/share/keyrings/debian-archive-keyring.gpg mirror
  shift
  mkdir -p "$directory"/{lists/partial,cache/archives/partial}
  : >"$directory/status"
  for suite in "$@"; do
    case $suite in
      *-security) mirror=http://deb.debian.org/debian-security ;;
      *) mirror=http://deb.debian.org/debian ;;
    esac
    printf 'deb [arch=amd64 signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$suite"
  done >"$directory/sources.list"
  apt=(-qq -o Dir::Etc::sourcelist="$directory/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::preferencesparts=/dev/null -o Dir::State::lists="$directory/lists"
    -o Dir::State::status="$directory/status" -o Dir::Cache="$directory/cache"
    -o APT::Sandbox::User=root -o APT::Install-Recommends=false -o Debug::NoLocking=true)
  apt-get "${apt[@]}" update >log 2>&1 || { cat log && exit 2; }
}

apt_for qemu bookworm bookworm-backports
apt-get "${apt[@]}" -y --download-only -t bookworm-backports install "qemu-system-x86=$qemu" \
  "qemu-system-common=$qemu" "qemu-system-data=$qemu" busybox-static cpio >log 2>&1 || { cat log && exit 2; }
mkdir tree
for package in qemu/cache/archives/*.deb; do dpkg-deb -x "$package" tree; done
apt_for linux trixie trixie-security trixie-backports
mkdir kernel
for package in "linux-image-$with" "linux-binary-$without" "linux-modules-$without"; do
  (mkdir "$package" && cd "$package" && apt-get "${apt[@]}" download "$package") >log 2>&1 ||
    { cat log && exit 2; }
  dpkg-deb -x "$package"/*.deb kernel
done

loader=tree/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
if [[ ! -e $loader ]]; then loader=tree/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2; fi
libraries=tree/lib/x86_64-linux-gnu:tree/usr/lib/x86_64-linux-gnu

# --- a guest with the drivers of the adapter and its drive ---------------------------------------

truncate -s 1M cd.iso
status=0
# expect VERSION COUNT: so many warnings in the guest's console.
expect() {
  local module found count
  rm -rf guest && mkdir -p guest/{bin,modules,proc}
  cp tree/bin/busybox guest/bin/
  for module in scsi_common scsi_mod libata libahci ahci cdrom sr_mod; do
    found=$(find kernel -path "*/$1/*" -name "$module.ko.xz")
    xz -dc "$found" >"guest/modules/$module.ko"
  done
  cat >guest/init <<'END'
#!/bin/busybox sh
for module in scsi_common scsi_mod libata libahci ahci cdrom sr_mod; do
  /bin/busybox insmod "/modules/$module.ko"
done
/bin/busybox sleep 8
/bin/busybox dmesg | /bin/busybox grep 'ata1'
/bin/busybox poweroff -f
END
  chmod 755 guest/init
  (cd guest && find . | "../$loader" --library-path "../${libraries//:/:../}" ../tree/bin/cpio \
    --quiet -o -H newc) >initrd
  timeout 300 "$loader" --library-path "$libraries" tree/usr/bin/qemu-system-x86_64 \
    -L tree/usr/share/qemu -L tree/usr/share/seabios -machine q35 -accel tcg -m 512 -display none \
    -vga none -nic none -no-reboot -monitor none -serial file:console \
    -kernel "$(find kernel -name vmlinuz -path "*/$1/*" -o -name "vmlinuz-$1")" -initrd initrd \
    -append 'console=ttyS0 quiet panic=-1' \
    -drive if=none,id=cd,media=cdrom,format=raw,readonly=on,file=cd.iso \
    -device ide-cd,drive=cd,bus=ide.0 </dev/null
  count=$(grep -ac 'LPM support broken' console || true)
  printf 'Linux %s: %d warnings; drive: %s\n' "$1" "$count" \
    "$(tr -d '\r' <console | sed -n 's/.*ATAPI: //p' | head -n 1)"
  grep -aq 'ATAPI: QEMU DVD-ROM' console && [[ $count -eq $2 ]] || status=1
}

expect "$with" 2
expect "$without" 0
exit "$status"
