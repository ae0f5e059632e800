#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig: OVMF starts GRUB from a CD, and that a Linux with all of Debian's drivers. /out has
# cd.console, cd.stderr and cd.status; what they must show is in full-linux.sh.

firmware=/usr/share/OVMF/OVMF_CODE_4M.fd
# An empty disk, which is tried first if the order has no effect.
truncate -s 64M /tmp/empty.img
# On the SATA adapter: one MiB of something, then zeroes.
dd if=/guest/cd.iso of=/tmp/sata.img bs=1M skip=1 count=1 2>/dev/null
truncate -s 16M /tmp/sata.img
timeout -s KILL 1500 vmm-run run --firmware "$firmware" --memory 768M --cdrom /guest/cd.iso \
  --cdrom none --disk /tmp/empty.img --disk /tmp/sata.img,bus=ahci --boot-order cdrom,disk0 \
  </dev/null >/out/cd.console 2>/out/cd.stderr
echo $? >/out/cd.status
dd if=/tmp/sata.img bs=1M skip=1 count=1 2>/dev/null | sha256sum >/out/sata.sum
echo "cd: status $(cat /out/cd.status) at $(cut -d ' ' -f 1 /proc/uptime) s"
