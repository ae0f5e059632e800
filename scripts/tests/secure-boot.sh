# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # guests is for guests.sh; here, logs, failed, vmm_run: set by scripts/test, report.sh, demo.sh
# Step of scripts/test: firmware that needs system management mode and starts what is signed alone, in the rig. Sourced,
# never run; needs devices.sh, firmware.sh and uefi.sh.
#
# What runs is in secure-boot-in-rig.sh, what the guest does in secure-boot-init.sh, what must come of it here.

secure_boot_series=6.12
secure_boot_modules=(efivarfs)
# Those with which a signed Linux is started, too. FULL_SECURE_BOOT=1 does so with the firmware of all suites, or of
# those in SECURE_BOOT_SUITES, and two vCPUs.
secure_boot_suites=(bookworm trixie) secure_boot_linux_suites=(trixie) secure_boot_cpus=1
if [[ -n ${FULL_SECURE_BOOT-} ]]; then
  read -ra secure_boot_suites <<<"${SECURE_BOOT_SUITES-${firmware_suites[*]}}"
  secure_boot_linux_suites=("${secure_boot_suites[@]}") secure_boot_cpus=2
fi

# make_secure_boot_disks DIRECTORY: signed.img with shim, GRUB and Linux of Debian, and unsigned.img.
make_secure_boot_disks() {
  local cache tree=$1/tree kernel disk signed
  # Shim and GRUB, signed for Debian.
  fill_rig_cache fetch_tree signed bookworm unpack_packages shim-signed grub-efi-amd64-signed || return 1
  signed=$cache/signed/usr/lib
  get_kernel "$secure_boot_series" "${secure_boot_modules[@]}" || return 1
  mkdir -p "$tree"/{bin,dev,proc,sys}
  cp /bin/busybox "$tree/bin/"
  add_modules "$tree" "$kernel" order "${secure_boot_modules[@]}" || return 1
  install_init "$tree" "$here/tests/secure-boot-init.sh"
  pack_initramfs "$tree" | gzip -1 >"$1/initrd" || return 1
  printf '%s\n' 'serial --unit=0 --speed=115200' 'terminal_output serial' 'echo GRUB is signed' \
    'linux /vmlinuz console=ttyS0 panic=-1 quiet' 'initrd /initrd' boot >"$1/grub.cfg"
  printf '%s\n' 'serial --unit=0 --speed=115200' 'terminal_output serial' 'echo Nobody signed this' >"$1/unsigned.cfg"
  quietly grub-mkimage -O x86_64-efi -p / -c "$1/unsigned.cfg" -o "$1/unsigned.efi" boot echo serial terminal ||
    return 1
  for disk in signed unsigned; do
    truncate -s 64M "$1/$disk.img"
    mkfs.fat -F 32 "$1/$disk.img" >/dev/null || return 1
    mmd -i "$1/$disk.img" ::/EFI ::/EFI/BOOT ::/EFI/debian
  done
  mcopy -i "$1/signed.img" "$signed/shim/shimx64.efi.signed" ::/EFI/BOOT/BOOTX64.EFI &&
    mcopy -i "$1/signed.img" "$signed/grub/x86_64-efi-signed/grubx64.efi.signed" ::/EFI/BOOT/grubx64.efi &&
    mcopy -i "$1/signed.img" "$1/grub.cfg" ::/EFI/debian/grub.cfg &&
    mcopy -i "$1/signed.img" "$kernel/vmlinuz" "$1/initrd" ::/ &&
    mcopy -i "$1/unsigned.img" "$1/unsigned.efi" ::/EFI/BOOT/BOOTX64.EFI || return 1
  # Without keys firmware starts it, too: it asks what is zero, with all that system management mode wrote.
  make_efi_client "$1/client.efi" && make_esp_disk "$1/client.img" 40M "$1/client.efi:/EFI/BOOT/BOOTX64.EFI" ||
    return 1
  rm -r "$tree" "$1"/{client.efi,initrd,grub.cfg,unsigned.cfg,unsigned.efi}
}

run_secure_boot() {
  local rig_status=0 guests='Secure Boot' out=$logs/secure-boot/out before=$failed firmware suite line
  local directory=$logs/secure-boot
  local -a files=()
  rm -rf "$directory"
  mkdir -p "$directory/guest"
  require_packages grub-common grub-efi-amd64-bin mtools busybox-static dosfstools || return 1
  make_secure_boot_disks "$directory/guest" || return 1
  for suite in "${secure_boot_suites[@]}"; do
    get_firmware "$suite" || return 1
    files+=(--file "$firmware/usr/share/OVMF:/firmware/$suite")
  done
  logged secure-boot "$here/rig" --timeout 1200 --cpus 1 --env "CPUS=$secure_boot_cpus" \
    --env "LINUX_SUITES=${secure_boot_linux_suites[*]}" --out "$out" --file "$vmm_run:/usr/bin/vmm-run" \
    "${files[@]}" --file "$directory/guest:/guest" --script "$here/tests/secure-boot-in-rig.sh" || rig_status=$?
  if [[ $rig_status -ne 0 ]]; then
    fail_check "$guests: the rig's exit status $rig_status"
  fi
  for suite in "${secure_boot_linux_suites[@]}"; do
    tr -d '\r' <"$out/$suite-signed.console" | grep -a '^@ ' >"$out/$suite-signed.told"
    check_status "$suite-signed" 0
    # Once before the reset and once after it.
    check_equal "$suite-signed: GRUB" "$(grep -ac 'GRUB is signed' "$out/$suite-signed.console")" 2
    for line in 'SecureBoot 1' 'lockdown none \[integrity\] confidentiality' 'Secure boot enabled' "processors $secure_boot_cpus" \
      reset 'kept a variable' 'PK stays' poweroff; do
      check_seen "$suite-signed" "$line"
    done
    check_messages "$suite-signed"
  done
  for suite in "${secure_boot_suites[@]}"; do
    check_uefi_share "$suite-client"
    # OVMF 2022.11 says it in both ways.
    check_equal "$suite-unsigned: refused" \
      "$(grep -aqE 'Access Denied|Security Violation' "$out/$suite-unsigned.console" && echo yes)" yes
    check_equal "$suite-unsigned: runs" "$(grep -ac 'Nobody signed this' "$out/$suite-unsigned.console")" 0
  done
  if [[ $failed -eq $before ]]; then
    rm -rf "$directory/guest"
  else
    cat "$logs/secure-boot.log"
  fi
}
