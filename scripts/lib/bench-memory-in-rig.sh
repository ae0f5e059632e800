#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig for bench-memory.sh: `memory.sh REPETITIONS`. A guest of QEMU and one of vmm-run in turn, of 1.5 GiB, that
# uses 300 MiB and frees them, then gives up 1 GiB to its balloon. /out/memory.tsv has what of the monitor's memory is resident,
# in KiB, and what the balloon took of the processor, in milliseconds.

ip link set lo up

qemu() {
  # shellcheck disable=SC2086 # words of a command
  exec $PEER -machine q35,hpet=off -smp 1 -m 1536 -serial file:/tmp/console -monitor tcp:127.0.0.1:4444,server,nowait -kernel /bench/memory.kernel -initrd /bench/memory.gz \
    -append "$append" -device vmbus-bridge -device hv-balloon,id=balloon
}

own() {
  exec /bench/vmm-run run --kernel /bench/memory.kernel --initrd /bench/memory.gz --append "$append" --memory 1536M --vmbus \
    --serial file:/tmp/console --control unix:/tmp/control
}

# qemu_balloon, own_balloon: has 1 GiB given up.
qemu_balloon() {
  (echo 'balloon 512' && sleep 1) | nc 127.0.0.1 4444 >/dev/null
}

own_balloon() {
  /bench/vmm-run ctl /tmp/control resize 1G >/dev/null
}

# ballooned: the guest has less than 400 MiB free, as it tells every five seconds; QEMU does not tell.
ballooned() {
  free=$(tr -d '\r' </tmp/console | sed -n 's/^free \([0-9]*\)$/\1/p' | tail -n 1)
  [ "${free:-409600}" -lt 409600 ]
}

# told TEXT: the guest has told that. SeaBIOS' last words have no end of line.
told() {
  tr -d '\r' </tmp/console | grep -q "$1\$"
}

# await SECONDS COMMAND...
await() {
  left=$1
  shift
  until "$@"; do
    left=$((left - 2))
    if [ $left -le 0 ] || ! kill -0 $job 2>/dev/null; then
      echo "$name: gave up on: $*"
      tail -n 5 /tmp/console /tmp/log
      return 1
    fi
    sleep 2
  done
}

# note WHAT NUMBER
note() {
  printf '%s\t%s\t%d\n' "$name" "$1" "$2" >>/out/memory.tsv
}

# resident: KiB.
resident() {
  sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB$/\1/p' "/proc/$job/status"
}

# busy: milliseconds of processor time of the monitor, without the guest's own.
busy() {
  sed 's/.*) //' "/proc/$job/stat" | awk '{ print ($12 + $13 - $41) * 10 }'
}

# balloon: what it takes until the guest has given up 1 GiB. The guest's own ticks go on meanwhile: what an idle time as long takes
# is taken off.
balloon() {
  before=$(busy)
  sleep 40
  idle=$((($(busy) - before) / 40))
  before=$(busy)
  seconds=0
  "${monitor}_balloon"
  until ballooned; do
    if [ $seconds -gt 200 ]; then
      echo "$name: no balloon of 1 GiB after $seconds seconds, $free KiB are free"
      return 1
    fi
    sleep 5
    seconds=$((seconds + 5))
  done
  note 'a balloon of 1 GiB' $(($(busy) - before - idle * seconds))
  note 'with the balloon' "$(resident)"
}

measure() {
  await 200 told started || return
  note 'as it starts' "$(resident)"
  await 400 told used || return
  note 'in use: 300 MiB' "$(resident)"
  await 200 told idle || return
  note 'idle again' "$(resident)"
  balloon
}

append='console=ttyS0 quiet panic=-1'
round=0
while [ $round -lt "$1" ]; do
  for monitor in qemu own; do
    name=vmm-run
    if [ $monitor = qemu ]; then name=QEMU; fi
    : >/tmp/console
    $monitor </dev/null >/tmp/log 2>&1 &
    job=$!
    measure
    kill -KILL $job 2>/dev/null
    wait $job
  done
  round=$((round + 1))
done
