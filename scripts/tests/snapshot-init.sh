#!/bin/busybox sh
# shellcheck shell=dash
# shellcheck disable=SC2154 # rounds: a word of the kernel's command line
# /init of the Linux guests that scripts/tests/snapshot.sh saves and restores while they work: a chain of checksums,
# of which each round's goes to the disk and is read back from there. What it has to tell goes to the console in lines
# that begin with @.

# shellcheck source=scripts/tests/guest-init.sh
. /guest-init.sh

end() {
  tell_warnings
  tell poweroff
  sleep 0.3
  poweroff -f
  sleep 1000
}

insert devices
if grep -qw vmbus /proc/cmdline; then insert vmbus; fi
disk=/dev/nvme0n1
tries=0
while [ ! -b $disk ] && [ $tries -lt 100 ]; do
  sleep 0.1
  tries=$((tries + 1))
done
tell "kernel $(uname -r)"
tell "clock source $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"

ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0

# Keeps every processor, and the random number device, busy beside it.
while true; do head -c 64 /dev/hwrng 2>/dev/null | sha256sum >/tmp/random; done &

sum=start
round=0
while [ $round -lt "$rounds" ]; do
  # 1 MiB of it, by way of the disk.
  line=$(echo "$sum" | sha256sum)
  yes "$line" | head -c 1048576 >/tmp/block
  dd if=/tmp/block of=$disk bs=1M seek=$((round % 16)) conv=fsync 2>/dev/null
  echo 1 >/proc/sys/vm/drop_caches
  sum=$(dd if=$disk bs=1M skip=$((round % 16)) count=1 2>/dev/null | sha256sum | cut -d ' ' -f 1)
  round=$((round + 1))
  # By the card that was saved, to a passt that was not. The first may be lost: it was under way.
  reached=lost
  if ping -c 2 -i 0.2 -w 10 10.0.2.2 >/dev/null; then reached=reached; fi
  if [ -e /sys/class/tpm/tpm0 ]; then tell "tpm $(cat /sys/class/tpm/tpm0/pcr-sha256/10)"; fi
  # Time does not go back, nor stand still.
  tell "round $round $sum at $(cut -d ' ' -f 1 /proc/uptime) $reached"
done
tell "forks $(dmesg | grep -c 'crng reseeded due to virtual machine fork')"
tell "errors $(cat /sys/class/nvme/nvme0/state) $(dmesg | grep -c -i -E 'nvme.*(timeout|abort|reset)|soft lockup|clocksource.*unstable|stall')"
end
