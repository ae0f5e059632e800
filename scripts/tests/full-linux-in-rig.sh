#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig: OVMF starts GRUB from a CD, and that a Linux with all of Debian's drivers. Of each
# series, /out has cd-SERIES.console, .stderr, .status and .sum; what they must show is in full-linux.sh.

firmware=/usr/share/OVMF/OVMF_CODE_4M.fd
# One series on the machine of `windows`, with the disk that it makes; the others on one made by hand. The
# disk is empty, and tried first if the order has no effect.
truncate -s 64M /tmp/empty.img
mkfifo /tmp/keys
ip link set lo up

# next_medium N: changes the medium when the guest asks for its Nth one, and then lets it go on.
next_medium() {
  while kill -0 $job 2>/dev/null && ! grep -qs "^@ medium $1, please" "/out/$name.console"; do sleep 0.2; done
  # SIGRTMIN, whose name busybox does not know.
  kill -34 "$(pidof vmm-run)"
  while kill -0 $job 2>/dev/null && [ "$(grep -c ' cdrom1: ' "/out/$name.stderr")" -lt "$1" ]; do
    sleep 0.2
  done
  echo >/tmp/keys
}

# A viewer (RFB 3.8): at 1000, 200 it turns the wheel away, presses the left button and the key A, and lets go of
# both; it stays until the guest has seen that.
view() {
  until grep -aq '^@ pointing' "$1"; do
    kill -0 $job 2>/dev/null || return
    sleep 0.5
  done
  {
    sleep 1
    printf 'RFB 003.008\n\001\001'
    printf '\005\000\003\350\000\310\005\010\003\350\000\310\005\000\003\350\000\310'
    printf '\005\001\003\350\000\310\004\001\000\000\000\000\000\141\004\000\000\000\000\000\000\141'
    printf '\005\000\003\350\000\310'
    while kill -0 $job 2>/dev/null && ! grep -aq '^@ pointed' "$1"; do sleep 0.5; done
  } | nc 127.0.0.1 5900 >/dev/null
}

series_list=$*
for series in $series_list; do
  name=cd-$series iso=/guest/$series.iso
  # On the SATA adapter: one MiB of something that is not zero, then zeroes.
  dd if="$iso" of=/tmp/sata.img bs=1M skip=16 count=1 2>/dev/null
  truncate -s 16M /tmp/sata.img
  # For the second drive, which is empty at first.
  dd if="$iso" of=/tmp/second.iso bs=1M skip=17 count=1 2>/dev/null
  dd if="$iso" of=/tmp/third.iso bs=1M skip=18 count=1 2>/dev/null
  case $series in
    7.*) set -- windows --iso "$iso" --disk /tmp/new.img:64M --cpus 1 --vmbus ;;
    *)
      set -- run --cdrom "$iso" --disk /tmp/empty.img --boot-order cdrom,disk0 --display 1280x800 \
        --usb tablet,keyboard
      ;;
  esac
  timeout -s KILL 900 vmm-run "$@" --firmware "$firmware" --memory 768M --vnc :0 \
    --screenshot "/out/$name.png" \
    --cdrom none,next=/tmp/second.iso,next=/tmp/third.iso --disk /tmp/sata.img,bus=ahci \
    <>/tmp/keys >"/out/$name.console" 2>"/out/$name.stderr" &
  job=$!
  view "/out/$name.console" &
  next_medium 1
  next_medium 2
  wait $job
  echo $? >"/out/$name.status"
  dd if=/tmp/sata.img bs=1M skip=1 count=1 2>/dev/null | sha256sum >"/out/$name.sum"
  rm /tmp/sata.img
  if [ -e /tmp/new.img ]; then stat -c '%s %b' /tmp/new.img >"/out/$name.disk"; fi
  echo "$name: status $(cat "/out/$name.status") at $(cut -d ' ' -f 1 /proc/uptime) s"
done
