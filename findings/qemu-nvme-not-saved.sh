#!/usr/bin/env bash
# QEMU cannot save or migrate a machine with its NVMe disk.
#
# What one would think: `-device nvme` is a device like virtio-blk, so a machine that has one can be migrated, saved to a
# file and restored; at worst its save format is not stable yet.
# What was seen: the device is marked as not migratable, and a migration is refused before it begins ("Outgoing migration
# blocked: non-migratable device"). The same machine with virtio-blk is migrated. So a
# guest that is to be saved, or moved, cannot have QEMU's NVMe; a save of QEMU can be compared with another monitor's only
# without one.
#
# Versions: QEMU 1:10.0.2+ds-2+deb13u1~bpo12+1 (bookworm-backports), seen on 29 November 2026.
#
# Needs Debian 12 or later. Status 0: as described. 1: something is different. 2: could not be tried, for example because
# the archive has other versions by now.
set -euo pipefail

version='1:10.0.2+ds-2+deb13u1~bpo12+1'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p lists/partial cache/archives/partial tree
: >status
cat >sources.list <<'END'
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm-backports main
END
apt=(-qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o Dir::Etc::preferencesparts=/dev/null -o Dir::State::lists="$work/lists"
  -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root
  -o APT::Install-Recommends=false -o Debug::NoLocking=true)
apt-get "${apt[@]}" update >log 2>&1 || { cat log && exit 2; }
apt-get "${apt[@]}" -y --download-only -t bookworm-backports install "qemu-system-x86=$version" \
  "qemu-system-common=$version" "qemu-system-data=$version" >log 2>&1 || { cat log && exit 2; }
for package in cache/archives/*.deb; do dpkg-deb -x "$package" tree; done
qemu=(tree/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
  --library-path tree/lib/x86_64-linux-gnu:tree/usr/lib/x86_64-linux-gnu tree/usr/bin/qemu-system-x86_64
  -L tree/usr/share/qemu -L tree/usr/share/seabios)
truncate -s 1M disk.img

# migrate DEVICE: the machine has not started; what its monitor says of a migration to nowhere.
migrate() {
  printf '%s\n' 'migrate "exec:cat >/dev/null"' 'info migrate' quit |
    timeout 120 "${qemu[@]}" -accel tcg -machine q35 -m 64 -nodefaults -no-user-config -display none \
      -drive file=disk.img,if=none,id=disk,format=raw -device "$1,drive=disk" -monitor stdio -S 2>&1
}

status=0
"${qemu[@]}" --version | head -n 1
for device in nvme,serial=x virtio-blk-pci; do
  migrate "$device" >said || true
  found=$(grep -oE 'non-migratable device: [^ ]*|Status: *completed|Migration status: completed' said |
    tr -d '\r' | head -n 1)
  printf '%s: %s\n' "$device" "${found:-$(tail -n 3 said)}"
  case $device,$found in
    nvme,*'non-migratable device: '*nvme | virtio-blk-pci,*completed) ;;
    *) status=1 ;;
  esac
done
exit "$status"
