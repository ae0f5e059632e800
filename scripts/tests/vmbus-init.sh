#!/bin/busybox sh
# shellcheck shell=dash
# /init of the Linux guests that scripts/tests/vmbus.sh boots: the drivers that Linux has for VMBus, until the host
# asks for the end. What it has to tell goes to the console in lines that begin with @.

# shellcheck source=scripts/tests/guest-init.sh
. /guest-init.sh

# tell_devices WORD: each device, by its kind, and its driver.
tell_devices() {
  for device in /sys/bus/vmbus/devices/*; do
    driver=none
    if [ -e "$device/driver" ]; then driver=$(basename "$(readlink "$device/driver")"); fi
    tell "$1 $(sed 's/[{}]//g' "$device/class_id") $driver"
  done
}

# has_drivers COUNT
has_drivers() {
  [ "$(find /sys/bus/vmbus/devices/*/driver -maxdepth 0 2>/dev/null | wc -l)" -ge "$1" ]
}

# What the driver of the shutdown service starts.
mkdir -p /sbin
cat >/sbin/poweroff <<'END'
#!/bin/busybox sh
echo '@ asked to power off' >/dev/console
/bin/busybox sleep 0.3
/bin/busybox poweroff -f
END
chmod +x /sbin/poweroff

is_set() {
  [ "$(date +%s)" -gt 1700000000 ]
}

tell "kernel $(uname -r)"
date -s @1000000000 >/dev/null
insert vmbus
await has_drivers 4
tell_devices device
await is_set
is_set && tell 'time was set'
tell "version $(dmesg | sed -n 's/.*Vmbus version:\([0-9.]*\).*/\1/p')"

if grep -qw reports /proc/cmdline; then
  mkdir -p /mnt
  mount -t tmpfs -o size=210m tmpfs /mnt
  dd if=/dev/zero of=/mnt/file bs=1M count=200 2>/dev/null
  tell 'memory used'
  sleep 1
  rm /mnt/file
  tell 'memory freed'
  sleep 8
fi

# The services go and come again.
rmmod hv_utils || tell 'cannot remove hv_utils'
tell_devices without
insmod /modules/hv_utils.ko
await has_drivers 4
tell_devices again

# A second kernel makes contact again. It does not know of the first.
if [ -e /second/vmlinuz ]; then
  tell 'second kernel starts'
  kexec /second/vmlinuz /second/initrd "$(cat /proc/cmdline)"
  tell 'no second kernel'
fi

memory_total() {
  sed -n 's/^MemTotal: *\([0-9]*\) kB$/\1/p' /proc/meminfo
}

# has_grown KIB: by that much.
has_grown() {
  [ "$(memory_total)" -ge $((total + $1)) ]
}

# MiB that are free above 4 GiB, where nothing was at the start, and which the kernel gives away first.
high_free() {
  echo $(($(sed -n '/zone *Normal/,/pages free/s/.*pages free *//p' /proc/zoneinfo) / 256))
}

if grep -qw balloon /proc/cmdline; then
  total=$(memory_total)
  tell "total $total"
  # The host asks for the balloon first, after a time in which it asks for nothing.
  for _ in 1 2 3 4 5 6; do await has_grown 260000; done
  tell "grown by $(($(memory_total) - total))"
  mkdir -p /mnt
  mount -t tmpfs -o size=64m tmpfs /mnt
  free=$(high_free)
  dd if=/dev/urandom of=/mnt/noise bs=1M count=1 2>/dev/null
  for _ in 1 2 3 4 5 6 7 8; do cat /mnt/noise /mnt/noise /mnt/noise /mnt/noise; done >/mnt/file
  tell "in what was added $((free - $(high_free))) MiB"
  sum=$(sha256sum </mnt/noise)
  for block in 0 13 31; do
    [ "$(dd if=/mnt/file bs=1M skip=$block count=1 2>/dev/null | sha256sum)" = "$sum" ] || tell "block $block differs"
  done
  tell "grown memory holds $(wc -c </mnt/file) bytes"
  rm /mnt/file
fi

tell_warnings
tell ready
while :; do sleep 1000; done
