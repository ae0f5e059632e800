#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig: Linux guests that are saved again and again while they work, and go on each time in another
# process. Of each, /out has snapshot-SERIES.console with all that it wrote, .stderr, .saved (how often) and .status.
#
# Arguments: how often each is saved, how many rounds each works, then the guests: SERIES-CPUS.

times=$1 rounds=$2
shift 2

# wait_for FILE LINES: until that many rounds are on the console, or its process is gone.
wait_for() {
  while kill -0 "$job" 2>/dev/null && [ "$(grep -c '^@ round' "$1")" -lt "$2" ]; do sleep 0.1; done
}

for guest; do
  name=snapshot-$guest series=${guest%-*} cpus=${guest#*-}
  console=/tmp/$name.console
  cp /guest/disk.img /tmp/disk.img
  rm -rf /tmp/saved
  set -- --control unix:/tmp/vm.sock --snapshots /tmp/saved
  timeout -s KILL 300 vmm-run run --kernel "/guest/$series.kernel" --initrd "/guest/$series.initrd" \
    --append "console=ttyS0 panic=-1 quiet rounds=$rounds" --memory 256M --cpus "$cpus" --disk /tmp/disk.img \
    --serial "file:$console" --rng on --display 1024x768 --usb tablet,keyboard "$@" </dev/null 2>"/out/$name.stderr" &
  job=$!
  saved=0
  touch "$console"
  while [ $saved -lt "$times" ]; do
    wait_for "$console" $((saved + 2))
    # What is saved is where the run ends: nothing happens between.
    vmm-run ctl /tmp/vm.sock pause 2>>"/out/$name.stderr" || break
    vmm-run ctl /tmp/vm.sock snapshot now >/dev/null 2>>"/out/$name.stderr" || break
    du -k /tmp/saved/now/memory-? | cut -f 1 >>"/out/$name.kilobytes"
    vmm-run ctl /tmp/vm.sock shutdown
    wait "$job" || echo "ended with $?" >>"/out/$name.stderr"
    saved=$((saved + 1))
    timeout -s KILL 300 vmm-run restore /tmp/saved/now "$@" </dev/null 2>>"/out/$name.stderr" &
    job=$!
  done
  wait "$job"
  echo $? >"/out/$name.status"
  echo $saved >"/out/$name.saved"
  cp "$console" "/out/$name.console"
  echo "$name: saved $saved times, status $(cat "/out/$name.status") at $(cut -d ' ' -f 1 /proc/uptime) s"
done
