#!/bin/busybox sh
# shellcheck shell=dash
# Process 1 of the rig once its root file system is there: sets the scene, runs /rig/command, hands
# its output and status to the host and powers off. The host's side is scripts/rig.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb RIG=1

mkdir -p /dev/pts /dev/shm /run /rig/on-disk-tmp
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
chmod 666 /dev/kvm
hostname rig
ip link set lo up

# /tmp is memory, yet files of the payload may belong there: they stay on disk, behind links.
mount --bind /tmp /rig/on-disk-tmp
mount -t tmpfs -o mode=1777 tmpfs /tmp
for entry in /rig/on-disk-tmp/* /rig/on-disk-tmp/.[!.]*; do
  if [ -e "$entry" ]; then
    ln -s "$entry" /tmp/
  fi
done

# /dev/rig/NAME is the disk with the serial number NAME (out, disk0, disk1, ...).
mkdir -p /dev/rig
link_disks() {
  for controller in /sys/class/nvme/nvme*; do
    read -r serial <"$controller/serial"
    disk=/dev/${controller##*/}n1
    if [ -b "$disk" ]; then
      ln -sf "$disk" "/dev/rig/$serial"
    fi
  done
}
# DISKS, WORKING_DIRECTORY, HUGEPAGES, TIMEOUT, HAS_NETWORK, exported variables.
# shellcheck source=/dev/null
. /rig/settings
for name in $DISKS; do
  tries=0
  while link_disks; [ ! -e "/dev/rig/$name" ] && [ $tries -lt 200 ]; do
    tries=$((tries + 1))
    sleep 0.05
  done
done
mount -t ext4 /dev/rig/out /out
if [ "$HUGEPAGES" -gt 0 ]; then
  mkdir -p /dev/hugepages
  mount -t hugetlbfs hugetlbfs /dev/hugepages
fi

if [ "$HAS_NETWORK" = 1 ]; then
  ip address add 10.0.2.15/24 dev eth0
  ip link set eth0 up
fi

# port NAME: the virtio-serial port of that name.
port() {
  for entry in /sys/class/virtio-ports/*; do
    read -r name <"$entry/name"
    if [ "$name" = "$1" ]; then
      echo "/dev/${entry##*/}"
    fi
  done
}

# A port can be open only once, so the command writes to pipes: it may then reopen /dev/stdout.
mkfifo /run/rig-stdout /run/rig-stderr
cat /run/rig-stdout >"$(port stdout)" &
stdout_copier=$!
cat /run/rig-stderr >"$(port stderr)" &
stderr_copier=$!

# So that scripts/rig sees whether time passes in here.
while sleep 10; do echo; done >"$(port pulse)" 2>/dev/null &

# what_each_thread_does: where every thread but the kernel's own waits.
what_each_thread_does() {
  for thread in /proc/[0-9]*/task/[0-9]*; do
    [ -n "$(tr -d '\0' <"${thread%/task/*}/cmdline")" ] || continue
    read -r name <"$thread/comm" || continue
    echo "rig: thread ${thread##*/} of ${thread#/proc/}, $name: syscall $(cat "$thread/syscall")"
    sed 's/^\[<0>\]/rig:  /' "$thread/stack"
  done 2>/dev/null
}

# Shortly before the time is up, for the log of a run that hangs. QEMU's clock began before this one's.
if [ "$TIMEOUT" -gt 60 ]; then
  {
    sleep $((TIMEOUT - 30))
    what_each_thread_does >/run/rig-stderr
  } &
fi

cd "$WORKING_DIRECTORY" || cd /
sh /rig/command </dev/null >/run/rig-stdout 2>/run/rig-stderr
status=$?

# The copiers end when the last writer does; a process left behind must not keep the rig alive.
tries=0
while kill -0 $stdout_copier 2>/dev/null || kill -0 $stderr_copier 2>/dev/null; do
  tries=$((tries + 1))
  [ $tries -lt 100 ] || break
  sleep 0.05
done

cd /
umount /out 2>/dev/null || sync
echo "exit $status" >"$(port status)"
poweroff -f
