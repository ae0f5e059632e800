#!/bin/busybox sh
# shellcheck shell=dash
# /init of the Linux guests that scripts/tests/full-linux.sh boots. What it has to tell goes to the console in
# lines that begin with @.

/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys

tell() {
  echo "@ $*"
}

# What the kernel has said at level warning or worse: linux-messages.sh knows whose fault each is.
tell_warnings() {
  dmesg -r | while read -r line; do
    level=${line#<}
    level=${level%%>*}
    if [ $((level & 7)) -le 4 ]; then
      tell "warning ${line#*] }"
    fi
  done
}

# await COMMAND...: waits for it, half a minute at most.
await() {
  tries=0
  while ! "$@" && [ $tries -lt 300 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
}

tell "kernel $(uname -r)"
while read -r module; do insmod "/modules/$module.ko" || tell "no module $module"; done </modules/order

await grep -q Explorer /proc/bus/input/devices
sed -n 's/^N: Name="\(.*\)"$/\1/p' /proc/bus/input/devices | while read -r name; do tell "input $name"; done

tell_warnings
tell poweroff
sleep 0.3
poweroff -f
sleep 1000
