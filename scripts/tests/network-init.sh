#!/bin/busybox sh
# shellcheck shell=dash
# /init of the Linux of scripts/tests/network.sh: it gets an address by DHCP, reaches its gateway, and sends and
# receives files by TCP. What it has to tell goes to the console in lines that begin with @.

# For udhcpc, which sets all of these: takes what the server gave.
# shellcheck disable=SC2154
lease() {
  ip address add "$ip/${mask:-24}" dev "$interface"
  ip route add default via "$router"
  echo "@ lease $ip/${mask:-24} from ${serverid:-nobody} by $router, ${mtu:-no} bytes" >/dev/console
}

# udhcpc starts this file with what has happened.
case ${1-} in
  bound | renew)
    lease
    exit
    ;;
  deconfig | leasefail | nak) exit ;;
esac

# shellcheck source=scripts/tests/guest-init.sh
. /guest-init.sh

# use_card NAME: all that a card has to do.
use_card() {
  tell "$1 driver $(sed -n 's/^DRIVER=//p' "/sys/class/net/$1/device/uevent")"
  tell "$1 address $(cat "/sys/class/net/$1/address")"
  ip link set "$1" up
  tell "$1 queues $(find "/sys/class/net/$1/queues/" -name 'rx-*' | wc -l)"
  await grep -q 1 "/sys/class/net/$1/carrier"
  tell "$1 carrier $(cat "/sys/class/net/$1/carrier"), $(cat "/sys/class/net/$1/speed" 2>/dev/null || echo -1) Mb/s"
  udhcpc -i "$1" -n -q -t 20 -s /init >/dev/null || tell "$1 has no lease"
  ping -c 3 -W 5 10.0.2.2 | sed -n 's/^\([0-9]* packets transmitted, [0-9]* packets received\).*/@ ping \1/p'
  # The host counts meanwhile how often its threads wake up.
  if grep -qw resting /proc/cmdline; then
    await grep -q 'vmm-run USB Keyboard' /proc/bus/input/devices
    tell "usb $(grep -c '^N: Name="vmm-run USB' /proc/bus/input/devices)"
    tell "frame buffer $(cat /sys/class/graphics/fb0/name)"
    tell idle
    sleep 15
  fi
  # What the host has, and back again. Input that does not end keeps nc from closing its half first.
  nc 10.0.2.2 8001 >/tmp/data
  tell "received $(sha256sum </tmp/data)"
  nc 10.0.2.2 8002 </tmp/data
  tell sent
  # A port of the host leads here.
  echo 'from the guest' >/tmp/answer
  tell listening
  nc -l -p 22 </tmp/answer >/tmp/asked
  tell "asked $(cat /tmp/asked)"
  if grep -qE "MSI.*($1|virtio0)" /proc/interrupts; then tell "$1 interrupts by message"; fi
  # The far end stands still, goes on, and is gone, and the machine stays.
  if grep -qw mortal /proc/cmdline; then
    tell 'stop it'
    while ping -c 1 -W 1 10.0.2.2 >/dev/null; do sleep 0.1; done
    tell 'no answer'
    until ping -c 1 -W 1 10.0.2.2 >/dev/null; do sleep 0.1; done
    tell 'an answer'
    tell mortal
    await grep -q 0 "/sys/class/net/$1/carrier"
    tell "$1 carrier $(cat "/sys/class/net/$1/carrier") in the end"
    ping -c 1 -W 1 10.0.2.2 >/dev/null || tell "$1 reaches nobody"
  fi
  tell "$1 errors $(cat "/sys/class/net/$1/statistics/rx_errors") $(cat "/sys/class/net/$1/statistics/tx_errors")"
  ip link set "$1" down
}

tell "kernel $(uname -r)"
tell "processors $(nproc)"
mkdir -p /tmp
ip link set lo up
insert cards
if grep -qw resting /proc/cmdline; then insert others; fi
use_card eth0
tell_warnings
tell poweroff
sleep 0.3
poweroff -f
sleep 1000
