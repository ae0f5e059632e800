#!/bin/busybox sh
# shellcheck shell=dash
# /init of the Linux that scripts/tests/install.sh puts on a CD: installs itself to the NVMe disk, and from there
# says what it finds. What it has to tell goes to the console in lines that begin with @.

# shellcheck source=scripts/tests/guest-init.sh
. /guest-init.sh

install_to_disk() {
  await [ -b /dev/sr0 ]
  mount -t iso9660 -o ro /dev/sr0 /mnt || return
  printf 'label: gpt\nstart=1MiB, size=100MiB, type=uefi\n' | /sbin/sfdisk -q /dev/nvme0n1 || return
  await [ -b /dev/nvme0n1p1 ]
  /sbin/mkfs.fat -F 32 /dev/nvme0n1p1 >/dev/null || return
  mount -t vfat /dev/nvme0n1p1 /target || return
  mkdir -p /target/EFI/BOOT
  cp /mnt/install/grub.efi /target/EFI/BOOT/BOOTX64.EFI &&
    cp /mnt/install/vmlinuz /mnt/install/initrd /mnt/install/data /target/ &&
    touch /target/installed &&
    umount /target &&
    tell copied
}

look_at_disk() {
  mount -t vfat -o ro /dev/nvme0n1p1 /target
  tell "data $(sha256sum </target/data)"
  tell "drives $(find /sys/block -name 'sr*' | wc -l)"
}

insert order
await [ -b /dev/nvme0n1 ]
if grep -qw installed /proc/cmdline; then
  await [ -b /dev/nvme0n1p1 ]
  look_at_disk
else
  install_to_disk
fi
tell_warnings
tell poweroff
sleep 0.3
poweroff -f
sleep 1000
