#!/bin/busybox sh
# shellcheck shell=dash
# /init of the Linux guest of the example desk-machine (scripts/tests/desk.sh): it pings the only other host, fills its screen, and
# has a picture taken.

# shellcheck source=scripts/tests/guest-init.sh
. /guest-init.sh

insert cards
insert others
await test -e /dev/fb0
await test -e /sys/class/net/eth0
ip link set eth0 up
ip address add 192.0.2.2/24 dev eth0
tell "ping $(ping -c 3 -W 20 192.0.2.1 | sed -n 's/.*, \([0-9]*\) packets received.*/\1/p')"
# The kernel takes the screen with the first letter there. A cursor would come back.
printf '\033[?25l.' >/dev/tty0
sleep 1
tell "screen $(cat /sys/class/graphics/fb0/name) $(cat /sys/class/graphics/fb0/virtual_size) $(cat /sys/class/graphics/fb0/bits_per_pixel)"
# In one piece: of whole lines Linux shows nothing (findings/linux-framebuffer-line.sh).
yes ABC | head -c 3145728 >/screen
dd if=/screen of=/dev/fb0 bs=3145728 2>/dev/null || tell 'the screen takes no picture'
# The driver writes what has changed now and then.
sleep 1
printf x | dd of=/dev/port bs=1 seek=233 2>/dev/null
tell_warnings
poweroff -f
