#!/bin/busybox sh
# shellcheck shell=dash
# /init of the Linux guests that scripts/tests/zeroed.sh boots: they do what the host says on the console. What they have to
# tell goes there in lines that begin with @.

# shellcheck source=scripts/tests/guest-init.sh
. /guest-init.sh

tell "kernel $(uname -r)"
if grep -qw vmbus /proc/cmdline; then insert vmbus; else insert virtio; fi
stty -echo </dev/console
tell listens
while read -r moment; do
  case $moment in
    end) break ;;
    use)
      mkdir -p /mnt
      mount -t tmpfs -o size=140m tmpfs /mnt
      tr '\0' x </dev/zero | dd of=/mnt/file bs=1M count=128 iflag=fullblock 2>/dev/null
      rm /mnt/file
      # What is free is reported two seconds later, and as much as that each two seconds.
      sleep 12
      ;;
    *)
      insmod /modules/zeroed_memory.ko "moment=$moment" && rmmod zeroed_memory
      tell "$(dmesg | sed -n "s/.*\(zeroed_memory: $moment: .*\)/\1/p")"
      ;;
  esac
  tell "done $moment"
done </dev/console
tell_warnings
poweroff -f
