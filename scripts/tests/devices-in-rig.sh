#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig: Linux guests that look at their devices with the tools that people use. Of each, /out
# has NAME.console, NAME.stderr and NAME.status. What they must show is in devices.sh.

for series in "$@"; do
  for disk in alpha beta; do
    dd if=/dev/urandom of="/tmp/$disk.img" bs=1M count=16 2>/dev/null
  done
  # The limit is for guests that hang.
  timeout -s KILL 400 vmm-run run --kernel "/guest/$series/vmlinuz" \
    --initrd "/guest/$series/initrd" --memory 512M --append 'console=ttyS0 panic=-1 quiet' \
    --disk /tmp/beta.img,block-size=4096,serial=beta --disk /tmp/alpha.img,serial=alpha \
    </dev/null >"/out/devices-$series.console" 2>"/out/devices-$series.stderr"
  echo $? >"/out/devices-$series.status"
  echo "devices-$series: status $(cat "/out/devices-$series.status") at $(cut -d ' ' -f 1 /proc/uptime) s"
done
