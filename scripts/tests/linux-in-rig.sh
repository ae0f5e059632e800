#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig: Linux guests, one after the other. Of each, /out has NAME.console, NAME.stderr,
# NAME.trace and NAME.status; of some, the disk. What they must show is in linux.sh.

append='console=ttyS0 panic=-1'

# image NAME: a copy of the disk image, /out being there only afterwards.
image() {
  /usr/bin/sparse-cp --sparse=always /guest/disk.img "/images/$1.img"
}

hand_out() {
  /usr/bin/sparse-cp --sparse=always "/images/$1.img" /out/
}

# start NAME SERIES OPTION...: boots in the background; the process is $machine.
start() {
  name=$1 series=$2
  shift 2
  vmm-run run --kernel "/guest/$series/vmlinuz" --initrd "/guest/$series/initrd" --memory 512M \
    --trace-hypercalls "/out/$name.trace" "$@" \
    </dev/null >"/out/$name.console" 2>"/out/$name.stderr" &
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

# boot NAME SERIES CPUS SCENARIO OPTION...: from start to end.
boot() {
  name=$1 series=$2 cpus=$3 scenario=$4
  shift 4
  start "$name" "$series" --cpus "$cpus" --append "$append quiet scenario=$scenario" "$@"
  finish "$name"
}

# until_told NAME TEXT: waits for a text on its console.
until_told() {
  tries=0
  while ! grep -q "$2" "/out/$1.console" && [ $tries -lt 3000 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
}

# refuse NAME OPTION...: a run that cannot begin.
refuse() {
  name=$1
  shift
  timeout -s KILL 200 vmm-run run "$@" </dev/null >"/out/$name.console" 2>"/out/$name.stderr"
  echo $? >"/out/$name.status"
}

sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1 >/out/model
mkdir /images
for name in disk-6.12 disk-6.1 disk-7.3 reboot root count button; do
  image $name
done

boot 6.12-1 6.12 1 facts --rng on
stat -c %b /images/disk-6.12.img >/out/blocks-before
boot 6.12-2 6.12 2 disk --disk /images/disk-6.12.img
stat -c %b /images/disk-6.12.img >/out/blocks-after
boot 6.1-1 6.1 1 disk --rng on --disk /images/disk-6.1.img --disk /guest/disk.img,readonly
boot 7.3-1 7.3 1 facts --rng on
boot 7.3-2 7.3 2 disk --disk /images/disk-7.3.img
boot 6.1-2 6.1 2 reboot --disk /images/reboot.img
boot reset 6.1 1 reset --on-reset exit

vmm-run run --kernel /guest/6.12/vmlinuz --memory 512M --cpus 2 --disk /images/root.img \
  --append "$append quiet root=/dev/nvme0n1 rootwait rw init=/init scenario=root" \
  --trace-hypercalls /out/root.trace </dev/null >/out/root.console 2>/out/root.stderr &
machine=$!
finish root

start count 6.12 --append "$append quiet scenario=count" --disk /images/count.img
until_told count '@ counted 20'
kill -9 $machine
finish count

start button 6.12 --append "$append quiet scenario=button" --disk /images/button.img
until_told button '@ listening'
# Of each thread: no new privileges, the mode of seccomp, how many filters.
for thread in "/proc/$machine/task"/*; do
  sed -n 's/^\(NoNewPrivs\|Seccomp\|Seccomp_filters\):[^0-9]*//p' "$thread/status" | tr '\n' ' '
  echo
done >/out/button.threads
refuse locked --kernel /guest/6.12/vmlinuz --disk /images/button.img
kill -TERM $machine
finish button

start deaf 6.12 --append "$append"
until_told deaf 'Linux version'
kill -TERM $machine
finish deaf

refuse no-kernel --kernel /guest/nothing
dd if=/guest/6.12/vmlinuz of=/tmp/short bs=4096 count=100 2>/dev/null
refuse short-kernel --kernel /tmp/short
dd if=/guest/6.12/vmlinuz of=/tmp/head bs=256 count=1 2>/dev/null
refuse head-of-kernel --kernel /tmp/head
truncate -s 400M /tmp/large
refuse large-initrd --kernel /guest/6.12/vmlinuz --initrd /tmp/large --memory 256M
truncate -s 1000 /tmp/odd
refuse odd-disk --kernel /guest/6.12/vmlinuz --disk /tmp/odd
refuse no-disk --kernel /guest/6.12/vmlinuz --disk /images/nothing

# With an unstable TSC below it KVM cannot keep those of two vCPUs together.
dmesg | grep -i 'tsc.*unstable'

cmp /guest/disk.img /guest/same.img >/out/read-only.cmp 2>&1 || echo differ >>/out/read-only.cmp
for name in disk-6.12 disk-6.1 disk-7.3 reboot root count; do
  hand_out $name
done
