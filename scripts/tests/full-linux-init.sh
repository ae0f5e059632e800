#!/bin/busybox sh
# shellcheck shell=dash
# /init of the Linux that scripts/tests/full-linux.sh puts on a CD. What it has to tell goes to the console in
# lines that begin with @.

# shellcheck source=scripts/tests/guest-init.sh
. /guest-init.sh
# Of util-linux.
eject=/usr/bin/eject
# Which makes lines of a device's events.
evtest=/usr/bin/evtest

use_inputs() {
  await grep -q Explorer /proc/bus/input/devices
  sed -n 's/^N: Name="\(.*\)"$/input \1/p' /proc/bus/input/devices | while read -r line; do
    tell "$line"
  done
}

# event_of NAME: the file of an input device.
event_of() {
  sed -n "/^N: Name=\"$1\"\$/,/^\$/s/^H: Handlers=.*\(event[0-9]*\).*/\1/p" /proc/bus/input/devices
}

# watch WORD NAME: evtest follows a USB device, in /tmp/WORD.
watch() {
  event=$(event_of "$2")
  hid=/sys/class/input/$event/device/device
  tell "$1 $(sed -n 's/^DRIVER=//p' "$hid/../uevent") $(sed -n 's/^DRIVER=//p' "$hid/uevent")"
  $evtest "/dev/input/$event" >"/tmp/$1" 2>&1 &
  await grep -q Testing "/tmp/$1"
}

# tell_events WORD: what it has followed: ranges of axes, and events.
tell_events() {
  sed -n '/(ABS_[XY])$/{s/.*(\(.*\))/\1/;h};/^ *Min /{s/.* //;H};/^ *Max /{s/.* //;H;x;s/\n/ from /;s/\n/ to /;p}' \
    "/tmp/$1" | sed "s/^/@ $1 /"
  sed -n "s/^Event: .*(\([A-Z_]*\)), value \(-\{0,1\}[0-9]*\)\$/@ $1 \1 \2/p" "/tmp/$1"
}

# A viewer points, clicks and types when this guest says that it looks.
use_usb() {
  mkdir -p /tmp
  await grep -q 'USB Tablet' /proc/bus/input/devices
  # The newest one has the devices that are there unasked.
  case $(uname -r) in
    7.*) ;;
    *) await grep -q 'USB Keyboard' /proc/bus/input/devices ;;
  esac
  tell "usb $(sed -n 's/^DRIVER=//p' /sys/bus/pci/devices/0000:00:1c.0/uevent)"
  watch tablet 'vmm-run USB Tablet'
  keyboard=$(event_of 'vmm-run USB Keyboard')
  if [ -n "$keyboard" ]; then watch keyboard 'vmm-run USB Keyboard'; fi
  tell pointing
  await grep -q 'BTN_LEFT), value 0' /tmp/tablet
  if [ -n "$keyboard" ]; then await grep -q 'KEY_A), value 0' /tmp/keyboard; fi
  tell pointed
  tell_events tablet
  if [ -n "$keyboard" ]; then tell_events keyboard; fi
  if grep xhci_hcd /proc/interrupts | grep -q MSI; then tell 'tablet interrupts by message'; fi
}

# The firmware's mode is 1280x800; the driver's is the command line's. What is drawn then is the picture that is
# kept.
use_display() {
  insert display
  await grep -q bochs /sys/class/graphics/fb0/name
  tell "frame buffer $(cat /sys/class/graphics/fb0/name) $(cat /sys/class/graphics/fb0/virtual_size)"
  seq 1 2000 >/dev/tty1
}

# All of it, then by its file system, then out and in again. The second drive is empty.
use_drives() {
  await [ -b /dev/sr1 ]
  tell "controller $(sed -n 's/^DRIVER=//p' /sys/block/sr0/device/../../../../uevent)"
  tell "drive $(cat /sys/block/sr0/device/vendor) $(cat /sys/block/sr0/device/model)"
  tell "medium $(sha256sum </dev/sr0)"
  tell "bytes $(($(cat /sys/block/sr0/size) * 512))"
  mkdir -p /mnt
  mount -t iso9660 -o ro /dev/sr0 /mnt && tell "file $(sha256sum </mnt/data)"
  umount /mnt
  $eject -r /dev/sr0 && tell ejected
  head -c 1 /dev/sr0 >/dev/null 2>&1 || tell 'nothing to read'
  $eject -t /dev/sr0 && tell closed
  tell "again $(head -c 1048576 /dev/sr0 | sha256sum)"
  head -c 1 /dev/sr1 2>&1 | sed 's/^head: /@ empty: /'
}

# The host changes the medium at each line that asks for it, then sends a line. A drive that is open is locked;
# its medium changes when it is closed.
use_changer() {
  tell 'medium 1, please'
  read -r _
  await has_medium
  tell "second $(sha256sum </dev/sr1)"
  exec 3</dev/sr1
  tell 'medium 2, please'
  read -r _
  tell "locked $(sha256sum </dev/sr1)"
  exec 3<&-
  await has_medium
  tell "third $(sha256sum </dev/sr1)"
}

has_medium() {
  head -c 1 /dev/sr1 >/dev/null 2>&1
}

# use_disk: on the same adapter. Its first MiB is copied to its second.
use_disk() {
  await [ -b /dev/sda ]
  tell "disk $(cat /sys/block/sda/device/model)"
  tell "sectors $(cat /sys/block/sda/size)"
  dd if=/dev/sda of=/dev/sda bs=1M count=1 seek=1 conv=fsync 2>/dev/null && tell copied
  tell "cache $(cat /sys/block/sda/queue/write_cache)"
}

tell "kernel $(uname -r)"
# By the firmware's tables.
if [ -d /sys/bus/vmbus/devices ]; then tell "devices of VMBus $(find /sys/bus/vmbus/devices -type l | wc -l)"; fi
insert order
use_usb
use_display
use_inputs
use_drives
use_changer
use_disk
tell_warnings
tell poweroff
sleep 0.3
poweroff -f
sleep 1000
