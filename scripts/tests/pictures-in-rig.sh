#!/bin/busybox sh
# shellcheck shell=dash
# Runs inside the rig for scripts/pictures: one guest with a screen, which this machine's viewers reach. The
# arguments are the firmware and options of vmm-run.

printf 'secret\n' >/tmp/password
firmware=$1
shift
vmm-run run --firmware "$firmware" --display 1024x768 --vnc 10.0.2.15:1 \
  --vnc-password-file /tmp/password "$@" </dev/null >/out/console 2>/out/stderr
echo "status $?"
cat /out/stderr
