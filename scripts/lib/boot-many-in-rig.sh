#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig, for scripts/boot-many: BOOTS LIMIT CPUS[,CPUS...] [OPTION...]. One line for each
# boot; of those that failed, /out has the console and what vmm-run said.

boots=$1 limit=$2 cpus=$3
shift 3

# places: where the vCPUs stood in the two reports that vmm-run gave, and their exits between: a guest that is
# slow moves, one that hangs does not.
places() {
  awk '
    /exits since/ { report++ }
    report && $1 ~ /^[0-9]+$/ && match($0, /0x[0-9a-f]+/) {
      place = substr($0, RSTART, RLENGTH)
      if (report == 1) first[$1] = place
      else printf "; vCPU %s at %s, then %s after %d exits", $1, first[$1], place,
        $(NF - 5) + $(NF - 4) + $(NF - 3) + $(NF - 2) + $NF
    }' $errors
}

# reason STATUS: why the boot failed, in a few words.
reason() {
  panic=$(tr -d '\r' <"$console" | grep -m 1 -E 'Kernel panic|BUG:|Oops|stack guard page|PANIC')
  last=$(tr -d '\r' <"$console" | grep -v '^ *$' | tail -n 1)
  if [ -n "$panic" ]; then
    echo "panic: $panic"
  elif [ "$1" = limit ]; then
    echo "no end within $limit s; last line: ${last:-none}$(places)"
  else
    echo "status $1: $(tail -n 1 "$errors"); last line: ${last:-none}"
  fi
}

boot=1
while [ $boot -le "$boots" ]; do
  # The list, turned by one for each boot.
  now=${cpus%%,*}
  case $cpus in
    *,*) cpus=${cpus#*,},$now ;;
  esac
  console=/tmp/console errors=/tmp/errors
  begin=$(cut -d . -f 1 /proc/uptime)
  vmm-run run --kernel /guest/vmlinuz --initrd /guest/initrd --memory 512M --cpus "$now" \
    --append 'console=ttyS0 panic=-1 linger=0' "$@" </dev/null >$console 2>$errors &
  machine=$!
  status=limit
  while [ $(($(cut -d . -f 1 /proc/uptime) - begin)) -lt "$limit" ]; do
    if ! kill -0 $machine 2>/dev/null; then
      wait $machine
      status=$?
      break
    fi
    sleep 0.2
  done
  if [ $status = limit ]; then
    # It answers with what its vCPUs do; two answers show whether they move.
    kill -USR1 $machine
    sleep 2
    kill -USR1 $machine 2>/dev/null
    sleep 2
    kill -9 $machine 2>/dev/null
    wait $machine
  fi
  seconds=$(($(cut -d . -f 1 /proc/uptime) - begin))
  if [ $status = 0 ] && grep -q 'user space reached' $console; then
    echo "boot $boot, $now vCPUs: off after $seconds s"
  else
    echo "boot $boot, $now vCPUs: FAILED after $seconds s: $(reason $status)"
    cp $console "/out/$boot.console"
    cp $errors "/out/$boot.stderr"
  fi
  boot=$((boot + 1))
done
