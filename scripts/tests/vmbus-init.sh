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
tell_warnings
tell ready
while :; do sleep 1000; done
