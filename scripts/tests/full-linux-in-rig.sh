#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig: OVMF starts GRUB from a CD, and that a Linux with all of Debian's drivers. /out has
# cd.console, cd.stderr and cd.status; what they must show is in full-linux.sh.

firmware=/usr/share/OVMF/OVMF_CODE_4M.fd
# An empty disk, which is tried first if the order has no effect.
truncate -s 64M /tmp/empty.img
timeout -s KILL 1500 vmm-run run --firmware "$firmware" --memory 768M --cdrom /guest/cd.iso \
  --cdrom none --disk /tmp/empty.img --boot-order cdrom,disk0 \
  </dev/null >/out/cd.console 2>/out/cd.stderr
echo $? >/out/cd.status
echo "cd: status $(cat /out/cd.status) at $(cut -d ' ' -f 1 /proc/uptime) s"
