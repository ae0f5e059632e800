#!/bin/busybox sh
# shellcheck shell=dash
# /init of the Linux guests that scripts/tests/overcommit.sh boots: they use memory when the host says so on the console, and
# free it. What they have to tell goes there in lines that begin with @.

# shellcheck source=scripts/tests/guest-init.sh
. /guest-init.sh

tell "kernel $(uname -r)"
insert vmbus
mkdir -p /mnt
mount -t tmpfs -o size=95% tmpfs /mnt
stty -echo </dev/console
tell listens
while read -r word first second; do
  case $word in
    end) break ;;
    use)
      dd if=/dev/zero of=/mnt/file bs=1M count="$first" 2>/dev/null
      tell "done use $first $second"
      ;;
    free)
      rm /mnt/file
      # What is free is told two seconds later, and as much as that each two seconds.
      sleep 8
      tell "done free $first"
      ;;
  esac
done </dev/console
tell_warnings
poweroff -f
