#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig: Linux guests with Hyper-V features other than the default, and some that crash or idle.
# Of each, /out has NAME.console, NAME.stderr and NAME.status. What they must show is in linux-features.sh.

# start NAME SERIES SCENARIO OPTION...: boots in the background; the process is $machine.
start() {
  name=$1 series=$2 scenario=$3
  shift 3
  vmm-run run --kernel "/guest/$series/vmlinuz" --initrd "/guest/$series/initrd" --memory 512M \
    --append "console=ttyS0 quiet scenario=$scenario" "$@" \
    </dev/null >"/out/$name.console" 2>>"/out/$name.stderr" &
  machine=$!
}

# finish NAME: waits for its end, which comes by force in the end.
finish() {
  (
    sleep 300
    kill -9 $machine
  ) >/dev/null 2>&1 &
  dog=$!
  wait $machine
  echo $? >"/out/$1.status"
  kill $dog 2>/dev/null
  echo "$1: status $(cat "/out/$1.status") at $(cut -d ' ' -f 1 /proc/uptime) s"
}

for series in 6.1 6.12 7.3; do
  start "all-$series" $series hyperv --nested \
    --hyperv-features all,spinlocks=4095,version=10.0.20348.1-2-3
  finish "all-$series"
done
start default 7.3 hyperv --cpus 2 --evidence /out/evidence
finish default
# KVM's own interface in place of Hyper-V's.
start paravirt 7.3 hyperv --cpus 2 --paravirt kvm
finish paravirt
for series in 6.1 7.3; do
  start "crash-$series" $series crash --cpus 2
  finish "crash-$series"
done

mkdir /images
/bin/busybox truncate -s 64M /images/idle.img
start idle 7.3 idle --disk /images/idle.img
tries=0
while ! grep -q '@ idle' /out/idle.console 2>/dev/null && [ $tries -lt 600 ]; do
  sleep 0.2
  tries=$((tries + 1))
done
# It idles most of the time, not all.
tries=0
while ! grep -q '^ *0  halted ' /out/idle.stderr && [ $tries -lt 20 ]; do
  : >/out/idle.stderr
  kill -USR1 $machine
  sleep 3
  tries=$((tries + 1))
done
kill -TERM $machine
finish idle
