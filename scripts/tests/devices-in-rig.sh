#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig: Linux guests that look at their devices with the tools that people use. Of each, /out
# has NAME.console, NAME.stderr, NAME.status and NAME.resident. What they must show is in devices.sh.

# By another name: the run is found by its own.
cp /usr/bin/vmm-run /tmp/asker

# ask NAME: /out/NAME.events gets what the run tells of itself, from about its start to its end.
ask() {
  while [ ! -S /tmp/control ]; do sleep 0.1; done
  /tmp/asker ctl /tmp/control events >"/out/$1.events"
}

# watch_memory NAME: until the guest has a status, lines with the time, the KiB of the VMM that are in memory, and
# what the guest told last of its balloon. When it is done with that, a report is asked for.
watch_memory() {
  asked=''
  while [ ! -s "/out/$1.status" ]; do
    sleep 0.3
    vmm=$(pidof vmm-run) || continue
    mark=$(tr -d '\r' <"/out/$1.console" | sed -n 's/^@ balloon \([a-z]*\)$/\1/p' | tail -n 1)
    resident=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB$/\1/p' "/proc/$vmm/status")
    echo "$(cut -d ' ' -f 1 /proc/uptime) $resident $mark" >>"/out/$1.resident"
    if [ "$mark" = over ] && [ -z "$asked" ]; then
      kill -USR1 "$vmm"
      /tmp/asker ctl /tmp/control metrics >"/out/$1.metrics"
      asked=yes
    fi
  done
}

for series in "$@"; do
  for disk in alpha beta; do
    dd if=/dev/urandom of="/tmp/$disk.img" bs=1M count=16 2>/dev/null
  done
  {
    # The limit is for guests that hang.
    timeout -s KILL 400 vmm-run run --kernel "/guest/$series/vmlinuz" --initrd "/guest/$series/initrd" \
      --control unix:/tmp/control --memory 768M --balloon 128M --append 'console=ttyS0 panic=-1 quiet' \
      --disk /tmp/beta.img,block-size=4096,serial=beta --disk /tmp/alpha.img,serial=alpha \
      </dev/null >"/out/devices-$series.console" 2>"/out/devices-$series.stderr"
    echo $? >"/out/devices-$series.status"
  } &
  ask "devices-$series" &
  watch_memory "devices-$series"
  wait
  echo "devices-$series: status $(cat "/out/devices-$series.status") at $(cut -d ' ' -f 1 /proc/uptime) s"
done
