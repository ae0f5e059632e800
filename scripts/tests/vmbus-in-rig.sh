#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig: Linux guests with VMBus, side by side. Arguments: SERIES-CPUS-WHAT..., where WHAT is
# reports, of free memory, or balloon. Of each, /out has vmbus-NAME.console, .stderr, .status, .resident or .events,
# .metrics and .metrics-grown. What they must show is in vmbus.sh.

# shellcheck disable=SC2034 # for what is sourced
step=vmbus
# shellcheck source=scripts/tests/balloons-in-rig.sh
. /balloons-in-rig.sh

# says NAME: how much memory it has available, which it says every second, as it finds the time.
says() {
  /tmp/asker ctl "/tmp/$1.sock" metrics | grep -F 'class="available"' >/dev/null
}

# watch NAME PID: lines with the time, the KiB of the VMM that are in memory, and what the guest told last of them.
# Few processes, as each takes an emulated processor its time.
watch() {
  mark=''
  while [ "$mark" != ready ] && [ -e "/proc/$2" ]; do
    sleep 1
    mark=$(sed -n 's/^@ \(memory \)\{0,1\}\(used\|freed\|ready\).\{0,1\}$/\2/p' "/out/vmbus-$1.console" | tail -n 1)
    read -r now _ </proc/uptime
    while read -r key resident _; do
      if [ "$key" = VmRSS: ]; then echo "$now $resident $mark"; fi
    done <"/proc/$2/status" >>"/out/vmbus-$1.resident"
  done
}

# run NAME: one guest, from its start until it has powered off because it was asked to.
run() {
  series=${1%%-*} what=${1##*-} cpus=${1#*-} memory=512M
  # Neither guest nor host is short of memory: whoever looks after that has a look, and moves nothing.
  policy=auto
  if [ "$what" = balloon ]; then memory=320M,max=576M policy=fixed; fi
  # The limit is for guests that hang. Busybox' timeout becomes the program, and watches from a child.
  timeout -s KILL 400 vmm-run run --kernel "/guest/$series/vmlinuz" --initrd "/guest/$series/initrd" --vmbus \
    --cpus "${cpus%-*}" --memory "$memory" --memory-policy "$policy" --control "unix:/tmp/$1.sock" \
    --append "console=ttyS0 panic=-1 quiet memhp_default_state=online $what" </dev/null >"/out/vmbus-$1.console" 2>"/out/vmbus-$1.stderr" &
  vmm=$!
  while [ ! -S "/tmp/$1.sock" ]; do sleep 0.2; done
  if [ "$what" = balloon ]; then
    /tmp/asker ctl "/tmp/$1.sock" events >"/out/vmbus-$1.events" &
    /tmp/asker ctl "/tmp/$1.sock" resize 64M >/dev/null
    await 200 given "$1" 67108864
    await 30 says "$1"
    /tmp/asker ctl "/tmp/$1.sock" metrics >"/out/vmbus-$1.metrics"
    kill -USR1 "$vmm"
    /tmp/asker ctl "/tmp/$1.sock" resize 0 >/dev/null
    await 20 given "$1" 0
    /tmp/asker ctl "/tmp/$1.sock" metrics >"/out/vmbus-$1.metrics-after"
    /tmp/asker ctl "/tmp/$1.sock" resize memory 576M >/dev/null
    await 200 told "$1" 'grown memory holds .*'
    /tmp/asker ctl "/tmp/$1.sock" metrics >"/out/vmbus-$1.metrics-grown"
    kill -USR1 "$vmm"
    await 60 told "$1" ready
  else
    watch "$1" "$vmm"
  fi
  kill -TERM "$vmm"
  wait "$vmm"
  echo $? >"/out/vmbus-$1.status"
  echo "vmbus-$1: status $(cat "/out/vmbus-$1.status") at $(cut -d ' ' -f 1 /proc/uptime) s"
}

for guest in "$@"; do run "$guest" & done
wait
