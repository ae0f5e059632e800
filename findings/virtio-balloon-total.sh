#!/usr/bin/env bash
# A balloon that the guest may deflate when it runs out of memory leaves Linux' MemTotal as it was.
#
# What one would think: a balloon takes memory from the guest, so that MemTotal in /proc/meminfo falls by its
# size, and whoever watches from inside (or tests a VMM) can read the balloon's size from it.
# What was seen: so it is in Linux 6.12 with QEMU's default balloon. With deflate-on-oom=on
# (VIRTIO_BALLOON_F_DEFLATE_ON_OOM), which other monitors offer by default, the driver lets MemTotal alone:
# the same 128 MiB are missing from MemFree only, as if something used them. In both cases balloon_inflate in
# /proc/vmstat counts the pages.
#
# Versions: QEMU 1:10.0.2+ds-2+deb13u1~bpo12+1 (bookworm-backports), Linux 6.12.107+deb13-cloud-amd64 (trixie).
# Seen on 29 November 2026.
#
# Needs Debian 12 or later, python3, 1 GiB of memory and some minutes. Status 0: as described. 1: something is
# different. 2: could not be tried, for example because the archive has other versions by now.
set -euo pipefail

qemu='1:10.0.2+ds-2+deb13u1~bpo12+1'
linux=6.12.107+deb13-cloud-amd64

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

use trixie
(cd cache/archives && apt-get "${apt[@]}" download "linux-image-$linux") >log 2>&1 || { cat log && exit 2; }
dpkg-deb -x cache/archives/linux-image-*.deb kernel
use bookworm bookworm-backports
apt-get "${apt[@]}" -y --download-only -t bookworm-backports install "qemu-system-x86=$qemu" \
  "qemu-system-common=$qemu" "qemu-system-data=$qemu" busybox-static cpio >log 2>&1 || { cat log && exit 2; }
mkdir tree
for package in cache/archives/*.deb; do dpkg-deb -x "$package" tree; done

loader=tree/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
if [[ ! -e $loader ]]; then loader=tree/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2; fi
libraries=tree/lib/x86_64-linux-gnu:tree/usr/lib/x86_64-linux-gnu

# --- a guest that says what it has before and after its balloon grew -----------------------------

mkdir -p guest/{bin,modules,proc}
cp tree/bin/busybox guest/bin/
find kernel -name 'virtio*.ko.xz' | while read -r module; do
  xz -dc "$module" >"guest/modules/$(basename "$module" .xz)"
done
cat >guest/init <<'END'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
for module in virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_balloon; do
  [ ! -e "/modules/$module.ko" ] || /bin/busybox insmod "/modules/$module.ko"
done
say() {
  /bin/busybox awk -v name="$1" '/^MemTotal|^MemFree/ { printf "@ %s %s %d\n", name, $1, $2 }' /proc/meminfo
  /bin/busybox awk -v name="$1" '/^balloon_(in|de)flate/ { printf "@ %s %s %d\n", name, $1, $2 }' /proc/vmstat
}
say before
echo '@ ready'
count=0
while [ "$(/bin/busybox awk '/^balloon_inflate/ { print $2 }' /proc/vmstat)" -lt 32768 ]; do
  count=$((count + 1))
  [ $count -lt 120 ] || break
  /bin/busybox sleep 1
done
/bin/busybox sleep 2
say after
/bin/busybox poweroff -f
END
chmod 755 guest/init
(cd guest && find . | "../$loader" --library-path "../${libraries//:/:../}" ../tree/bin/cpio \
  --quiet -o -H newc) >initrd

# The balloon's command, once the guest is ready.
cat >shrink.py <<'END'
import json, socket, sys, time
for _ in range(600):
    with open("console", "rb") as console:
        if b"@ ready" in console.read():
            break
    time.sleep(0.5)
qmp = socket.socket(socket.AF_UNIX)
qmp.connect("qmp")
stream = qmp.makefile("rw")
stream.readline()
for command in ({"execute": "qmp_capabilities"},
                {"execute": "balloon", "arguments": {"value": (512 - 128) << 20}}):
    stream.write(json.dumps(command) + "\n")
    stream.flush()
    stream.readline()
END

status=0
# try OPTION EXPECTED_KIB: MemTotal falls by so much, within 1 MiB, and MemFree by about 128 MiB.
try() {
  local total free pages
  rm -f qmp console
  : >console
  python3 shrink.py &
  timeout 400 "$loader" --library-path "$libraries" tree/usr/bin/qemu-system-x86_64 \
    -L tree/usr/share/qemu -L tree/usr/share/seabios -machine q35 -accel tcg -m 512 -display none \
    -vga none -nic none -no-reboot -monitor none -serial file:console -qmp unix:qmp,server,nowait \
    -kernel "$(find kernel -name 'vmlinuz-*')" -initrd initrd -append 'console=ttyS0 quiet panic=-1' \
    -device "virtio-balloon-pci,deflate-on-oom=$1" </dev/null
  wait
  # fallen NAME: by how much.
  fallen() {
    tr -d '\r' <console | awk -v name="$1:" '$1 == "@" && $3 == name { value[$2] = $4 }
      END { print value["before"] - value["after"] }'
  }
  total=$(fallen MemTotal)
  free=$(fallen MemFree)
  pages=$(tr -d '\r' <console | sed -n 's/^@ after balloon_inflate //p')
  printf 'deflate-on-oom=%s: balloon_inflate %s, MemTotal %d KiB less, MemFree %d KiB less\n' \
    "$1" "$pages" "$total" "$free"
  [[ $pages -ge 32768 && $total -ge $(($2 - 1024)) && $total -le $(($2 + 1024)) && $free -ge 120000 ]] || status=1
}

try off 131072
try on 0
exit "$status"
