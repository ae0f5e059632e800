#!/bin/busybox sh
# shellcheck shell=dash
# /init of the Linux guests that scripts/tests/devices.sh boots: it looks at disks and clock with the tools
# that people use. It boots twice; what it has to tell goes to the console in lines that begin with @.

# shellcheck source=scripts/tests/guest-init.sh
. /guest-init.sh
export PATH=/sbin:/bin

# By their paths: busybox's shell takes its own programs first.
hwclock=/sbin/hwclock
rtcwake=/sbin/rtcwake
nvme=/sbin/nvme
lspci=/sbin/lspci

# tell_lines WORD: what it reads, with a word in front.
tell_lines() {
  while read -r line; do
    tell "$1 $line"
  done
}

# end COMMAND: the console sends by itself; what it still holds then is lost.
end() {
  tell "$1"
  sleep 0.3
  "$1" -f
  sleep 1000
}

# await_disk SERIAL: sets $controller; disks are probed side by side, in any order.
await_disk() {
  tries=0
  controller=''
  while [ -z "$controller" ] && [ $tries -lt 300 ]; do
    for file in /sys/class/nvme/nvme*/serial; do
      if grep -qx "$1 *" "$file" 2>/dev/null; then
        controller=$(basename "${file%/serial}")
      fi
    done
    [ -b "/dev/${controller}n1" ] || controller=''
    sleep 0.1
    tries=$((tries + 1))
  done
}

# describe_disk SERIAL: its name, and what follows from it.
describe_disk() {
  await_disk "$1"
  block=/sys/block/${controller}n1
  tell "disk $1 $(cat "$block/wwid") $(cat "$block/queue/logical_block_size") $(cat "$block/size")"
}

smart() {
  $nvme smart-log "/dev/$controller" | sed -n "s/^$1[^:]*: *\([0-9]*\).*/\1/p"
}

# use_nvme: log pages, as nvme-cli sees them; alpha's controller.
use_nvme() {
  $nvme id-ctrl "/dev/$controller" | grep -E '^(vid|ssvid|sn|mn|lpa|elpe|subnqn) ' | tell_lines id-ctrl
  $nvme id-ns "/dev/${controller}n1" | grep -E '^(nguid|eui64|lbaf +0) ' | tell_lines id-ns
  # Without --csi it wants to map the registers, which kernels refuse, and ends in silence.
  $nvme effects-log "/dev/$controller" --csi=0 2>&1 | tell_lines effects
  before=$(smart num_err_log_entries)
  # An opcode that there is not.
  $nvme admin-passthru "/dev/$controller" --opcode=0x7d --data-len=0 2>&1 | tell_lines passthru
  tell "errors counted $(($(smart num_err_log_entries) - before))"
  $nvme error-log "/dev/$controller" --log-entries=1 | grep -E '^(sqid|status_field|nsid|error_count)' |
    tell_lines error-log
  tell "power cycles $(smart power_cycles)"
  read_before=$(smart 'Data Units Read')
  dd if="/dev/${controller}n1" of=/dev/null bs=1M count=8 iflag=direct 2>/dev/null
  tell "units read $(($(smart 'Data Units Read') - read_before))"
}

# use_pci: capabilities, and a reset of the function during reads.
use_pci() {
  device=/sys/class/nvme/$controller/device
  $lspci -vv -s "$(sed -n 's/^PCI_SLOT_NAME=//p' "$device/uevent")" | tell_lines lspci
  tell "reset methods $(cat "$device/reset_method")"
  sum=$(dd if="/dev/${controller}n1" bs=1M 2>/dev/null | sha256sum)
  for round in 1 2 3; do
    dd if="/dev/${controller}n1" of=/dev/null bs=64k iflag=direct 2>/dev/null &
    echo 1 >"$device/reset" && tell "function reset $round"
    wait
  done
  echo 3 >/proc/sys/vm/drop_caches
  if [ "$(dd if="/dev/${controller}n1" bs=1M 2>/dev/null | sha256sum)" = "$sum" ]; then
    tell 'same contents after function resets'
  fi
}

# use_clock: reading waits for an update interrupt, setting too; waking up for an alarm.
use_clock() {
  for arguments in '-r' '--test -w' '-w'; do
    # shellcheck disable=SC2086 # words
    $hwclock $arguments --utc -f /dev/rtc0 -v >/tmp/hwclock 2>&1
    tell "hwclock $arguments: status $?, $(grep -ci 'timed out\|cannot\|failed' /tmp/hwclock) failures"
  done
  tell "busybox hwclock: $(busybox hwclock -r -u -f /dev/rtc0 >/dev/null 2>&1 && echo works)"
  before=$(cut -d . -f 1 /proc/uptime)
  $rtcwake -m on -s 3 --utc -d rtc0 >/dev/null 2>&1
  tell "rtcwake on: status $?"
  tell "waited $(($(cut -d . -f 1 /proc/uptime) - before >= 2))"
  if grep -qw freeze /sys/power/state 2>/dev/null; then
    $rtcwake -m freeze -s 5 --utc -d rtc0 >/dev/null 2>&1
    tell "rtcwake freeze: status $?"
  else
    tell 'rtcwake freeze: this kernel does not sleep'
  fi
  tell "clock interrupts $(sed -n 's/^ *8: *\([0-9]*\) .*/\1/p' /proc/interrupts)"
}

inflated_pages() {
  sed -n 's/^balloon_inflate //p' /proc/vmstat
}

is_inflated() {
  [ "$(inflated_pages)" -ge 32768 ]
}

free_memory() {
  sed -n 's/^MemFree: *\([0-9]*\) kB/\1/p' /proc/meminfo
}

# use_balloon: it takes what it is to take; then memory is used and no more used. The host looks on, and has until
# 'balloon over'.
use_balloon() {
  insert balloon
  await is_inflated
  tell "balloon pages $(inflated_pages)"
  for device in /sys/bus/virtio/drivers/virtio_balloon/virtio*; do
    tell "balloon features $(cut -c 1-6 "$device/features")"
  done
  mkdir -p /mnt
  mount -t tmpfs -o size=250m tmpfs /mnt
  dd if=/dev/zero of=/mnt/file bs=1M count=240 2>/dev/null
  tell 'balloon used'
  sleep 1
  rm /mnt/file
  tell 'balloon freed'
}

# remove_balloon: what it took is the guest's again.
remove_balloon() {
  tell 'balloon over'
  sleep 1
  before=$(free_memory)
  rmmod virtio_balloon
  tell "balloon gave $(($(free_memory) - before > 120000))"
}

# The second boot: the first one has left a word at the beginning of a disk.
await_disk alpha
if [ "$(dd if="/dev/${controller}n1" bs=6 count=1 2>/dev/null)" = second ]; then
  tell "clock $($hwclock -r --utc -f /dev/rtc0)"
  tell "errors kept $(($(smart num_err_log_entries) > 0))"
  end poweroff
fi

tell "kernel $(uname -r)"
describe_disk beta
describe_disk alpha
if [ -e /modules/balloon ]; then use_balloon; fi
dmesg | grep -iE 'nvme.*(bogus|duplicate|quirk|error|timeout|invalid)' | tell_lines nvme
use_nvme
use_pci
use_clock
if [ -e /modules/balloon ]; then remove_balloon; fi
dmesg | grep -iE '(rtc|nvme).*(lost|error|timeout|fail)' | tell_lines trouble
await_disk alpha
tell_warnings
echo second | dd of="/dev/${controller}n1" conv=fsync 2>/dev/null
$hwclock --set --date '2031-02-03 04:05:06' --utc -f /dev/rtc0
tell "hwclock --set: status $?"
end reboot
