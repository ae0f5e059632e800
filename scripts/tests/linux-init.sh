#!/bin/busybox sh
# shellcheck shell=dash
# shellcheck disable=SC2154 # scenario: a word of the kernel's command line that the kernel does not
# know; it is in the environment of /init
# /init of the Linux guests that scripts/tests/linux.sh boots. What it has to tell goes to the console in
# lines that begin with @.

# shellcheck source=scripts/tests/guest-init.sh
. /guest-init.sh

# The console sends by itself; what it still holds at power-off is lost.
end() {
  tell_warnings
  tell "$1"
  sleep 0.3
  "$1" -f
  sleep 1000
}

# disks RO: block devices that are read-only (1) or not (0). Controllers are probed in parallel.
disks() {
  for disk in /sys/block/nvme*; do
    if [ "$(cat "$disk/ro" 2>/dev/null)" = "$1" ]; then
      echo "/dev/${disk##*/}"
    fi
  done
}

mount_disk() {
  disk=$(disks 0)
  tries=0
  while [ ! -b "$disk" ] && [ $tries -lt 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
    disk=$(disks 0)
  done
  mount -t ext4 "$disk" /mnt || tell "cannot mount '$disk'"
}

# Files of some kinds, told by checksum; then space is given back.
write_files() {
  mount_disk
  tell "sum known $(sha256sum </mnt/known)"
  mkdir /mnt/made
  cat /mnt/known /mnt/known >/mnt/made/twice
  dd if=/mnt/known of=/mnt/made/part bs=1000 skip=7 count=3 2>/dev/null
  dd if=/mnt/known of=/mnt/made/sparse bs=4096 seek=1000 count=2 2>/dev/null
  number=0
  while [ $number -lt 50 ]; do
    echo "file $number" >"/mnt/made/small-$number"
    number=$((number + 1))
  done
  cat /mnt/made/small-* >/mnt/made/all
  sync
  # Read again from the disk, not from memory.
  echo 3 >/proc/sys/vm/drop_caches
  for file in twice part sparse all; do
    tell "sum made/$file $(sha256sum </mnt/made/$file)"
  done
  rm /mnt/ballast
  sync
  fstrim /mnt && tell trimmed
  umount /mnt && tell unmounted
}

# This script is on the disk as well, and runs from there without an initramfs.
write_to_root() {
  tell "root $(sed -n 's|^\([^ ]*\) / \([^ ]*\) \(r[ow]\).*|\2 \3|p' /proc/mounts | tail -n 1)"
  cat /known /known /known >/thrice
  sync
  echo 3 >/proc/sys/vm/drop_caches
  tell "sum thrice $(sha256sum </thrice)"
  mount -o remount,ro / && tell 'read-only now'
}

try_read_only() {
  disk=$(disks 1)
  tell "read-only disk $disk"
  dd if=/dev/zero of="$disk" bs=4096 count=1 conv=fsync 2>/dev/null && tell 'written'
  mkdir -p /ro
  mount -t ext4 -o ro "$disk" /ro || tell 'not mounted'
  tell "sum read-only $(sha256sum </ro/known)"
  touch /ro/new 2>/dev/null && tell 'made a file'
  mount -o remount,rw /ro 2>/dev/null && tell 'mounted for writing'
  umount /ro
}

# Numbers until this machine is no more. Each is on the disk before it is told.
count_durably() {
  mount_disk
  number=1
  while true; do
    printf '%08d\n' $number |
      dd of=/mnt/counter oflag=append conv=notrunc,fsync 2>/dev/null || end poweroff
    tell "counted $number"
    number=$((number + 1))
  done
}

wait_for_power_button() {
  insmod /modules/evdev.ko
  insmod /modules/button.ko
  button=$(grep -l 'Power Button' /sys/class/input/event*/device/name | head -n 1)
  button=${button%/device/name}
  # Opened before anyone is told, so that no event is missed.
  exec 3<"/dev/input/${button##*/}"
  tell 'listening'
  dd of=/dev/null bs=24 count=1 <&3 2>/dev/null && tell 'pressed'
}

# What Linux found of the Hyper-V interface, and whether it may run virtual machines.
tell_features() {
  dmesg | sed -n 's/.*Hyper-V: \(privilege flags\|Nested features\)/\1/p' | while read -r line; do
    tell "$line"
  done
  tell "version $(dmesg | sed -n 's/.*Hyper-V: .* Build //p')"
  tell "clock event device $(cat /sys/devices/system/clockevents/clockevent0/current_device)"
  tell "virtualisation $(grep -o -m 1 -w -e svm -e vmx /proc/cpuinfo)"
}

# A panic that nothing follows.
crash() {
  tell crashing
  sleep 0.3
  echo c >/proc/sysrq-trigger
}

# The kernel's own source of random numbers is told by the name of its driver.
use_random_numbers() {
  insert random
  await [ -c /dev/hwrng ]
  tell "random numbers $(cat /sys/class/misc/hw_random/rng_current) by $(sed -n 's/^DRIVER=//p' "$1/uevent")"
  head -c 16384 /dev/hwrng >/tmp/random
  tell "random bytes $(wc -c </tmp/random), of $(hexdump -v -e '1/1 "%02x\n"' /tmp/random | sort -u | wc -l) kinds"
}

tell "kernel $(uname -r)"
tell "processors $(nproc)"
# What lscpu prints as the model's name.
tell "model $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
tell "clock source $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
tell "$(dmesg | sed -n 's/.*Hypervisor detected:/hypervisor/p')"

random=/sys/bus/pci/devices/0000:00:13.0
if [ -e $random ]; then
  mkdir -p /tmp
  use_random_numbers $random
fi

case $scenario in
  facts) ;;
  disk)
    write_files
    if [ -n "$(disks 1)" ]; then
      try_read_only
    fi
    ;;
  root) write_to_root ;;
  count) count_durably ;;
  button) wait_for_power_button ;;
  reset) end reboot ;;
  hyperv) tell_features ;;
  crash) crash ;;
  idle)
    tell idle
    sleep 1000
    ;;
  reboot)
    mount_disk
    if [ ! -e /mnt/rebooted ]; then
      touch /mnt/rebooted
      umount /mnt
      end reboot
    fi
    umount /mnt
    ;;
  *) tell "no such scenario: $scenario" ;;
esac
end poweroff
