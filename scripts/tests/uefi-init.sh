#!/bin/busybox sh
# shellcheck shell=dash
# /init of a Linux that UEFI firmware booted from its disk (scripts/lib/efi.sh, make_grub_disk). What it
# has to tell goes to the console in lines that begin with @. It counts boots twice: in a file of its
# root file system and in an EFI variable.

# shellcheck source=scripts/tests/guest-init.sh
. /guest-init.sh

variables=/sys/firmware/efi/efivars
global=8be4df61-93ca-11d2-aa0d-00e098032b8c
# Linux makes the variables of other vendors immutable files, and busybox has no chattr. This vendor is
# the kernel's own, for crash dumps; its variables can be rewritten.
counter=$variables/BootCount-cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0

tell_identity() {
  for field in sys_vendor product_name product_uuid product_serial product_sku product_family \
    chassis_asset_tag bios_version; do
    # The kernel leaves out what is empty, and a UUID of zeroes.
    value=$(cat /sys/class/dmi/id/$field 2>/dev/null)
    tell "dmi $field ${value:-none}"
  done
  tell "dmi oem $(tail -c +6 /sys/firmware/dmi/entries/11-0/raw 2>/dev/null | tr '\000' ' ')"
}

# The number that the file holds, or 0.
number_in() {
  number=$(tr -cd 0-9 2>/dev/null)
  echo "${number:-0}"
}

count_in_file() {
  boots=$(($(number_in </boots) + 1))
  echo $boots >/boots.new && mv /boots.new /boots
  tell "boot $boots"
}

mount_variables() {
  if [ -e /modules/efivarfs.ko ]; then
    insmod /modules/efivarfs.ko || tell 'cannot insert efivarfs'
  fi
  mount -t efivarfs efivarfs $variables || tell 'cannot mount efivarfs'
}

# The first four bytes of such a file are the variable's attributes.
value_of() {
  tail -c +5 "$1" 2>/dev/null
}

count_in_variable() {
  count=$(($(value_of $counter | number_in) + 1))
  # 7: non-volatile, for boot services, for the OS. It must be a single write.
  printf '\007\000\000\000%d' $count >/run/variable
  if dd if=/run/variable of=$counter bs=64 2>/run/error; then
    tell "variable $(value_of $counter)"
  else
    tell "cannot write the variable: $(head -n 1 /run/error)"
  fi
}

tell_efi() {
  if [ ! -d /sys/firmware/efi ]; then
    tell 'efi no'
    return
  fi
  tell "efi yes, $(cat /sys/firmware/efi/fw_platform_size) bits"
  mount_variables
  tell "boot-current $(value_of $variables/BootCurrent-$global | od -An -tx2 | tr -d ' ')"
  count_in_variable
}

# with_tpm COMMAND...: of tpm2-tools, with the kernel's resource manager.
with_tpm() {
  if TPM2TOOLS_TCTI=device:/dev/tpmrm0 /usr/bin/tpm2 "$@" 2>/run/error; then return 0; fi
  tell "tpm error: $1: $(head -n 1 /run/error)"
  return 1
}

# What firmware measured into the TPM, and a secret: the first boot seals it, the others find it.
tell_tpm() {
  tpm=/sys/class/tpm/tpm0
  if [ ! -e /sys/firmware/acpi/tables/TPM2 ]; then return; fi
  # Its driver tests it first, and is not waited for.
  await [ -e $tpm/device/driver ]
  driver=$(readlink $tpm/device/driver)
  tell "tpm driver ${driver##*/}"
  tell "tpm presence $(cat $tpm/ppi/version)"
  mount -t securityfs securityfs /sys/kernel/security
  tell "tpm log $(wc -c 2>/dev/null </sys/kernel/security/tpm0/binary_bios_measurements || echo 0)"
  # Once, for the host to read, and without the kernel's messages in its midst.
  if [ "$1" = 1 ]; then
    dmesg -n 1
    tell "tpm data $(base64 -w 0 /sys/kernel/security/tpm0/binary_bios_measurements)"
  fi
  tell "tpm measured $(cat $tpm/pcr-sha256/[0-7] | grep -vc '^0*$')"
  tell "tpm complaints $(dmesg | grep -i tpm | grep -icE 'bug|fail|error|warn|conflict')"
  # Linux has had it test all; a second time is too slow in the rig for the driver's patience.
  with_tpm selftest && tell 'tpm selftest passed'
  if [ "$1" = 1 ]; then
    with_tpm createprimary -Q -C o -G ecc -c /run/primary
    echo 'a secret' | with_tpm create -Q -C /run/primary -i - -u /run/public -r /run/private
    with_tpm load -Q -C /run/primary -u /run/public -r /run/private -c /run/sealed
    with_tpm evictcontrol -Q -C o -c /run/sealed 0x81000001
  fi
  tell "tpm unsealed $(with_tpm unseal -c 0x81000001)"
}

# The files that the user gave along, which have a directory and a name below opt/.
tell_files() {
  if [ -e /modules/qemu_fw_cfg.ko ]; then
    insmod /modules/qemu_fw_cfg.ko || tell 'cannot insert qemu_fw_cfg'
  fi
  files=/sys/firmware/qemu_fw_cfg/by_name
  for file in "$files"/opt/*/*/raw; do
    if [ -e "$file" ]; then
      name=${file#"$files"/}
      tell "fw_cfg ${name%/raw} $(cat "$file")"
    fi
  done
}

tell "kernel $(uname -r)"
tell "root $(sed -n 's|^\([^ ]*\) / \([^ ]*\) \(r[ow]\).*|\2 \3|p' /proc/mounts | tail -n 1)"
tell "processors $(nproc)"
tell "memory $(sed -n 's/^MemTotal: *//p' /proc/meminfo)"
tell "clock source $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
hypervisor=$(dmesg | sed -n 's/.*Hypervisor detected: //p')
tell "hypervisor ${hypervisor:-none}"
tell_identity
touch /boots
count_in_file
tell_efi
tell_files
tell_tpm "$boots"

sync
mount -o remount,ro / && tell 'read-only now'
# For a secret in the TPM; guests without one come no further than their second boot.
case $boots in
  3) reboot -f ;;
  4)
    tell waiting
    sleep 1000
    ;;
esac
tell poweroff
# The console sends by itself; what it still holds at power-off is lost.
sleep 0.3
poweroff -f
sleep 1000
