#!/bin/busybox sh
# shellcheck shell=dash
# /init of the Linux that firmware or iPXE got by HTTP in scripts/tests/network-boot.sh.

# shellcheck source=scripts/tests/guest-init.sh
. /guest-init.sh

tell "kernel $(uname -r)"
tell 'network booted'
poweroff -f
sleep 1000
