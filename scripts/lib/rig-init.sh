#!/bin/busybox sh
# shellcheck shell=dash
# /init of the rig's initramfs: loads the stock KVM, finds the disks by their serial numbers and
# goes on in the root file system on the disk `root`.

bb=/bin/busybox

fail() {
  $bb echo "rig-init: $1"
  $bb poweroff -f
}

$bb mount -t devtmpfs dev /dev
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys

# In the order of scripts/rig.
while read -r module; do
  $bb insmod "/modules/$module" || fail "cannot insert $module"
done </modules/list

# NVMe controllers are probed in parallel, so their numbers say nothing: go by serial number.
root_disk() {
  for controller in /sys/class/nvme/nvme*; do
    read -r serial <"$controller/serial" 2>/dev/null || continue
    if [ "$serial" = root ]; then
      $bb echo "/dev/${controller##*/}n1"
    fi
  done
}

tries=0
while disk=$(root_disk); [ -z "$disk" ] || [ ! -b "$disk" ]; do
  tries=$((tries + 1))
  [ $tries -lt 300 ] || fail "no disk with serial number 'root'"
  $bb sleep 0.05
done

$bb mount -t ext4 "$disk" /root || fail "cannot mount $disk"
for tree in dev proc sys; do
  $bb mount --move /$tree /root/$tree
done
exec $bb switch_root /root /rig/session
