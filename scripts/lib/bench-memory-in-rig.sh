#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig for bench-memory.sh: `memory.sh REPETITIONS`. A guest of QEMU and one of vmm-run in turn, of 1.5 GiB, that
# uses 300 MiB and frees them. /out/memory.tsv has what of the monitor's memory is resident, in KiB.

qemu() {
  # shellcheck disable=SC2086 # words of a command
  exec $PEER -machine q35,hpet=off -smp 1 -m 1536 -serial file:/tmp/console -monitor none -kernel /bench/memory.kernel -initrd /bench/memory.gz \
    -append "$append" -device vmbus-bridge -device hv-balloon,id=balloon
}

own() {
  exec /bench/vmm-run run --kernel /bench/memory.kernel --initrd /bench/memory.gz --append "$append" --memory 1536M --vmbus \
    --serial file:/tmp/console
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

measure() {
  await 200 told started || return
  note 'as it starts' "$(resident)"
  await 400 told used || return
  note 'in use: 300 MiB' "$(resident)"
  await 200 told idle || return
  note 'idle again' "$(resident)"
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
