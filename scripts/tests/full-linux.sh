# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # guests is for guests.sh; here, logs, failed, vmm_run: set by scripts/test, report.sh, demo.sh
# Step of scripts/test: Linux with all of Debian's drivers, from CDs that grub-mkrescue made and OVMF starts,
# in the rig. Sourced, never run; needs devices.sh, firmware.sh and uefi.sh.
#
# What runs is in full-linux-in-rig.sh, what the guest does in full-linux-init.sh, what must come of it here.

full_linux_series=(6.1 6.12 7.3)
full_linux_modules=(
  evdev psmouse usb-common usbcore xhci-hcd xhci-pci hid hid-generic usbhid scsi_common scsi_mod libata libahci ahci cdrom sr_mod sd_mod isofs)
# Where a viewer of 1280x800 points at 1000, 200, clicks and turns the wheel: the middle of the pixel.
full_linux_pointer=(
  'tablet ABS_X from 0 to 32767' 'tablet ABS_Y from 0 to 32767' 'tablet ABS_X 25612' 'tablet ABS_Y 8212'
  'tablet BTN_LEFT 1' 'tablet REL_WHEEL 1' 'tablet BTN_LEFT 0')
# What its display needs, since 6.18 and before.
full_linux_display=(drm drm_kms_helper drm_client_lib drm_shmem_helper bochs)
full_linux_display_before=(drm drm_kms_helper ttm drm_ttm_helper drm_vram_helper bochs)
# What sd_mod needs up to 6.1.
full_linux_checksums=(crct10dif_common crc-t10dif crc64 crc64-rocksoft t10-pi)

# How much of something is on the CD; the guest reads all of it, and the file again.
full_linux_data=${FULL_LINUX_DATA:-8M}

# make_cd FILE SERIES DATA: an ISO with GRUB, Linux, and DATA as a file.
make_cd() {
  local iso=$1 series=$2 data=$3 kernel tree=$1.tree disc=$1.disc
  local -a modules=("${full_linux_modules[@]}") display=("${full_linux_display_before[@]}")
  if [[ $series == 6.1 ]]; then modules=("${full_linux_checksums[@]}" "${modules[@]}"); fi
  if [[ $series == 7.* ]]; then display=("${full_linux_display[@]}"); fi
  get_kernel "$series-full" "${modules[@]}" "${display[@]}" || return 1
  rm -rf "$tree" "$disc"
  mkdir -p "$tree"/{bin,dev,proc,sys} "$disc"
  cp /bin/busybox "$tree/bin/"
  take_program "$tree" /usr/bin/eject
  take_program "$tree" /usr/bin/evtest
  add_modules "$tree" "$kernel" order "${modules[@]}" || return 1
  add_modules "$tree" "$kernel" display "${display[@]}" || return 1
  install_init "$tree" "$here/tests/full-linux-init.sh"
  pack_initramfs "$tree" | gzip -1 >"$disc/initrd" || return 1
  cp "$kernel/vmlinuz" "$disc/vmlinuz"
  cp "$data" "$disc/data"
  make_grub_cd "$iso" "$disc" '/vmlinuz console=ttyS0 panic=-1 quiet video=1024x768' /initrd || return 1
  rm -r "$tree" "$disc"
}

# sum_of: the checksum of what it reads.
sum_of() {
  sha256sum | cut -d ' ' -f 1
}

# mib_of FILE N: the MiB of a file after N of them.
mib_of() {
  dd if="$1" bs=1M skip="$2" count=1 2>/dev/null
}

check_cd_guest() {
  local guest=cd-$1 iso=$2 data=$3 line second third
  check_status "$guest" 0
  second=$(mib_of "$iso" 17 | sum_of)
  third=$(mib_of "$iso" 18 | sum_of)
  check_equal "$guest: GRUB" "$(grep -ac 'GRUB from the CD' "$out/$guest.console")" 1
  for line in "kernel ${1//./\\.}\\..*" 'input AT Translated Set 2 keyboard' \
    'input ImExPS/2 Generic Explorer Mouse' 'input vmm-run USB Tablet' 'usb xhci_hcd' \
    'frame buffer bochs-drmdrmfb 1024,768' \
    'tablet usbhid hid-generic' 'tablet interrupts by message' "${full_linux_pointer[@]}" 'controller ahci' 'drive VMM-RUN +CD/DVD-ROM *' \
    "medium $(sum_of <"$iso")  -" "bytes $(stat -c %s "$iso")" "file $(sum_of <"$data")  -" \
    ejected 'nothing to read' closed "again $(head -c 1048576 "$iso" | sum_of)  -" \
    'empty: /dev/sr1: No medium found' "second $second  -" "locked $second  -" "third $third  -" \
    'disk VMM-RUN DISK *' 'sectors 32768' copied 'cache write back' poweroff; do
    check_seen "$guest" "$line"
  done
  if [[ $1 == 7.* ]]; then
    check_seen "$guest" 'devices of VMBus 4'
  else
    for line in 'input vmm-run USB Keyboard' 'keyboard usbhid hid-generic' 'keyboard KEY_A 1' \
      'keyboard KEY_A 0'; do
      check_seen "$guest" "$line"
    done
  fi
  check_picture "$guest" 1024 768
  check_equal "$guest: what the guest wrote to its SATA disk" \
    "$(cut -d ' ' -f 1 "$out/$guest.sum")" \
    "$(mib_of "$iso" 16 | sum_of)"
  check_equal "$guest: what was said of the second drive" "$(grep -c 'cdrom1: .*in' "$out/$guest.stderr")" 2
  check_equal "$guest: modules" "$(grep -c '@ cannot' "$out/$guest.told")" 0
  check_messages "$guest"
}

run_full_linux() {
  local rig_status=0 guests='Linux from a CD' out=$logs/full-linux/out before=$failed firmware series
  local directory=$logs/full-linux
  rm -rf "$directory"
  mkdir -p "$directory/guest"
  require_packages grub-common grub-efi-amd64-bin xorriso mtools busybox-static eject evtest || return 1
  head -c "$full_linux_data" /dev/urandom >"$directory/data"
  for series in "${full_linux_series[@]}"; do
    make_cd "$directory/guest/$series.iso" "$series" "$directory/data" || return 1
  done
  get_firmware bookworm || return 1
  logged full-linux "$here/rig" --timeout 1800 --cpus 1 --out "$out" \
    --file "$vmm_run:/usr/bin/vmm-run" --file "$firmware$ovmf:$ovmf" \
    --file "$directory/guest:/guest" --script "$here/tests/full-linux-in-rig.sh" -- \
    "${full_linux_series[@]}" || rig_status=$?
  if [[ $rig_status -ne 0 ]]; then
    fail_check "$guests: the rig's exit status $rig_status"
  fi
  check_equal 'the disk that windows made: bytes and blocks' "$(cat "$out/cd-7.3.disk")" '67108864 0'
  for series in "${full_linux_series[@]}"; do
    tr -d '\r' <"$out/cd-$series.console" | grep -a '^@ ' >"$out/cd-$series.told"
    check_cd_guest "$series" "$directory/guest/$series.iso" "$directory/data"
  done
  if [[ $failed -eq $before ]]; then
    rm -rf "$directory/guest" "$directory/data"
  else
    cat "$logs/full-linux.log"
  fi
}
