#!/bin/busybox sh
# shellcheck shell=dash
# /init of the Linux that shim and GRUB start in scripts/tests/secure-boot.sh: says what the kernel knows of Secure Boot,
# keeps a variable, and after a reset looks for it. What it has to tell goes to the console in lines that begin with @.

# shellcheck source=scripts/tests/guest-init.sh
. /guest-init.sh

variables=/sys/firmware/efi/efivars
kept=$variables/Kept-5f0fd70a-5b4c-44c6-a3d6-2f1c8a1c1a52

insert order
mount -t efivarfs none "$variables"
mount -t securityfs none /sys/kernel/security
# Four bytes of attributes come first.
tell "SecureBoot $(tail -c 1 "$variables"/SecureBoot-* | od -An -tu1 | tr -d ' ')"
tell "lockdown $(cat /sys/kernel/security/lockdown)"
tell "$(dmesg | grep -o 'Secure boot enabled')"
tell "processors $(nproc)"
tell_warnings
if [ -e "$kept" ]; then
  tell "kept $(tail -c +5 "$kept")"
  # The keys are the firmware's.
  chattr -i "$variables"/PK-* 2>/dev/null
  printf '\047\000\000\000x' 2>/dev/null >"$(echo "$variables"/PK-*)" || tell 'PK stays'
  tell poweroff
  sleep 0.3
  poweroff -f
else
  printf '\007\000\000\000a variable' >"$kept" || tell 'no variable is kept'
  tell reset
  sleep 0.3
  reboot -f
fi
sleep 1000
