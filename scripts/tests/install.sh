# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # guests is for guests.sh; here, logs, failed, vmm_run: set by scripts/test, report.sh, demo.sh
# Step of scripts/test: a system installed from a CD to an empty NVMe disk by the guest alone, and started from
# it, in the rig. Sourced, never run; needs devices.sh, firmware.sh and uefi.sh.
#
# What runs is in install-in-rig.sh, what the guest does in install-init.sh, what must come of it here.

install_series=6.12
install_modules=(
  scsi_common scsi_mod libata libahci ahci cdrom sr_mod isofs
  nvme-keyring nvme-auth nvme-core nvme fat vfat nls_cp437 nls_ascii)

# make_installed_grub FILE: GRUB as a UEFI program that starts what the guest has installed.
make_installed_grub() {
  local configuration=$1.cfg
  printf '%s\n' 'serial --unit=0 --speed=115200' 'terminal_output serial' 'echo GRUB from the disk' \
    'search --file --set=root /installed' 'linux /vmlinuz console=ttyS0 panic=-1 quiet installed' \
    'initrd /initrd' boot >"$configuration"
  quietly grub-mkimage -O x86_64-efi -p /EFI/BOOT -c "$configuration" -o "$1" \
    boot echo fat linux part_gpt search search_fs_file serial terminal || return 1
  rm "$configuration"
}

# make_install_cd FILE DATA: an ISO with GRUB, Linux with an installer in its /init, and DATA.
make_install_cd() {
  local iso=$1 data=$2 tree=$1.tree disc=$1.disc kernel
  get_kernel "$install_series-full" "${install_modules[@]}" || return 1
  rm -rf "$tree" "$disc"
  mkdir -p "$tree"/{bin,dev,mnt,proc,sys,target} "$disc/install"
  cp /bin/busybox "$tree/bin/"
  take_program "$tree" /sbin/sfdisk
  take_program "$tree" /sbin/mkfs.fat
  add_modules "$tree" "$kernel" order "${install_modules[@]}" || return 1
  install_init "$tree" "$here/tests/install-init.sh"
  pack_initramfs "$tree" | gzip -1 >"$disc/install/initrd" || return 1
  cp "$kernel/vmlinuz" "$disc/install/vmlinuz"
  cp "$data" "$disc/install/data"
  make_installed_grub "$disc/install/grub.efi" || return 1
  make_grub_cd "$iso" "$disc" '/install/vmlinuz console=ttyS0 panic=-1 quiet' /install/initrd || return 1
  rm -r "$tree" "$disc"
}

run_installation() {
  local rig_status=0 guests='Installation from a CD' out=$logs/install/out before=$failed firmware guest
  local directory=$logs/install sum line
  rm -rf "$directory"
  mkdir -p "$directory/guest"
  require_packages grub-common grub-efi-amd64-bin xorriso mtools busybox-static fdisk dosfstools || return 1
  head -c 16M /dev/urandom >"$directory/data"
  make_install_cd "$directory/guest/install.iso" "$directory/data" || return 1
  get_firmware bookworm || return 1
  logged install "$here/rig" --timeout 1200 --cpus 1 --out "$out" \
    --file "$vmm_run:/usr/bin/vmm-run" --file "$firmware/usr/share/OVMF:/usr/share/OVMF" \
    --file "$directory/guest:/guest" --script "$here/tests/install-in-rig.sh" || rig_status=$?
  if [[ $rig_status -ne 0 ]]; then
    fail_check "$guests: the rig's exit status $rig_status"
  fi
  for guest in install installed; do
    tr -d '\r' <"$out/$guest.console" | grep -a '^@ ' >"$out/$guest.told"
    check_status "$guest" 0
    check_equal "$guest: modules" "$(grep -c '@ cannot' "$out/$guest.told")" 0
    check_messages "$guest"
  done
  check_equal 'install: GRUB' "$(grep -ac 'GRUB from the CD' "$out/install.console")" 1
  check_seen install copied
  check_equal 'installed: GRUB' "$(grep -ac 'GRUB from the disk' "$out/installed.console")" 1
  sum=$(sum_of <"$directory/data")
  for line in "data $sum  -" 'drives 0' poweroff; do check_seen installed "$line"; done
  if [[ $failed -eq $before ]]; then
    rm -rf "$directory/guest" "$directory/data"
  else
    cat "$logs/install.log"
  fi
}
