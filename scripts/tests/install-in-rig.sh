#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig: the machine of `windows` with a new disk and a CD, and once more with the disk alone. Of each,
# /out has NAME.console, .stderr and .status; what they must show is in install.sh.

# boot NAME OPTION...
boot() {
  name=$1
  shift
  timeout -s KILL 600 vmm-run windows --disk "$@" --firmware /usr/share/OVMF/OVMF_CODE_4M.fd \
    --memory 768M --cpus 1 --vnc unix:/tmp/viewers </dev/null >"/out/$name.console" 2>"/out/$name.stderr"
  echo $? >"/out/$name.status"
  echo "$name: status $(cat "/out/$name.status") at $(cut -d ' ' -f 1 /proc/uptime) s"
}

boot install /tmp/new.img:128M --iso /guest/install.iso
boot installed /tmp/new.img
