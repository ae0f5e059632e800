#!/usr/bin/env bash
# A whole line that is written to /dev/fb0 is not shown, though it can be read back.
#
# What one would think: what is written to a frame buffer device is on the screen soon after, however it is cut.
# What was seen: with bochs-drm of Linux 6.12.118 a screen of 1024x768 that is written in 768 pieces, of a line
# (4096 bytes) each, stays as it was: not one pixel is shown. The device reads back what was written. The same bytes in
# one piece are shown, all of them. The kernel keeps its own copy, and hands a rectangle of it to the driver. For a write
# within one line the right edge is where the write ends within it: at the end of a line that is 0, and the rectangle is
# empty. The file has 4096 bytes a line, and programs like to write 4096 bytes at once.
#
# Versions: QEMU 1:10.0.2+ds-2+deb13u1~bpo12+1 (bookworm-backports), Linux 6.12.118+deb13-amd64 (Debian 13).
# Seen on 1 December 2026.
#
# Needs Debian 12 or later, 1 GiB of memory and some minutes. Status 0: as described. 1: something is
# different. 2: could not be tried, for example because the archive has other versions by now.
set -euo pipefail

qemu='1:10.0.2+ds-2+deb13u1~bpo12+1'
linux=6.12.118+deb13-amd64
modules=(drm drm_kms_helper ttm drm_ttm_helper drm_vram_helper bochs)

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
apt_for linux trixie trixie-security
apt-get "${apt[@]}" download "linux-image-$linux" >log 2>&1 || { cat log && exit 2; }
dpkg-deb -x linux-image-*.deb kernel

loader=tree/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
if [[ ! -e $loader ]]; then loader=tree/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2; fi
libraries=tree/lib/x86_64-linux-gnu:tree/usr/lib/x86_64-linux-gnu

# --- a guest with a screen -----------------------------------------------------------------------

mkdir -p guest/{bin,modules,dev,proc,sys}
cp tree/bin/busybox guest/bin/
for module in "${modules[@]}"; do
  xz -dc "$(find kernel -name "$module.ko.xz")" >"guest/modules/$module.ko"
done
cat >guest/init <<END
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t sysfs sys /sys
for module in ${modules[*]}; do insmod /modules/\$module.ko; done
while [ ! -e /dev/fb0 ]; do sleep 0.1; done
# The kernel takes the screen with the first letter there. A cursor would come back.
printf '\\033[?25l.' >/dev/tty0
sleep 2
echo "screen \$(cat /sys/class/graphics/fb0/name) \$(cat /sys/class/graphics/fb0/virtual_size)"
yes ABC | head -c 3145728 >/picture
for size in 4096 3145728; do
  dd if=/picture of=/dev/fb0 bs=\$size 2>/dev/null
  sleep 3
  head -c 3145728 /dev/fb0 | cmp - /picture && echo "written by \$size"
  sleep 10
done
poweroff -f
END
chmod 755 guest/init
(cd guest && find . | "../$loader" --library-path "../${libraries//:/:../}" ../tree/bin/cpio \
  --quiet -o -H newc) >initrd
mkfifo orders
timeout 300 "$loader" --library-path "$libraries" tree/usr/bin/qemu-system-x86_64 \
  -L tree/usr/share/qemu -L tree/usr/share/seabios -machine q35 -accel tcg -m 512 -display none \
  -vga none -device bochs-display,xres=1024,yres=768 -nic none -no-reboot -monitor stdio -serial file:console \
  -kernel "$(find kernel -name 'vmlinuz-*')" -initrd initrd -append 'console=ttyS0 quiet panic=-1' <orders >log &
exec 3>orders

# shown SIZE: how many pixels are shown after it was written in such pieces: their red is a C.
shown() {
  local tries=0
  until grep -aq "written by $1" console 2>/dev/null; do
    tries=$((tries + 1))
    [[ $tries -lt 200 ]] || { cat console && exit 2; }
    sleep 1
  done
  echo "screendump $1.ppm" >&3
  sleep 3
  tail -c 2359296 "$1.ppm" | LC_ALL=C tr -dc C | wc -c
}

lines=$(shown 4096)
whole=$(shown 3145728)
echo quit >&3
wait
tr -d '\r' <console | grep -a '^screen'
printf 'of 786432 pixels are shown: written by lines %d, in one piece %d\n' "$lines" "$whole"
[[ $lines -eq 0 && $whole -eq 786432 ]]
