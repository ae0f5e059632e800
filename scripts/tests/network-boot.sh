# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # guests is for guests.sh; here, logs, failed, vmm_run: set by scripts/test, report.sh, demo.sh
# Step of scripts/test: firmware that starts what a server behind passt has, in the rig. Sourced, never run; needs
# firmware.sh, uefi.sh and network.sh.
#
# What runs is in network-boot-in-rig.sh, what the guest does in network-boot-init.sh, what must come of it here.

# SUITE/HOW/CARD: OVMF of that suite, its HTTP boot or iPXE from a disk, and the card. OVMF has no driver for an e1000e,
# iPXE has its own for both. FULL_NETWORK_BOOT=1 boots them all, and a Linux by HTTP: minutes, as the CD is 20 MB.
network_boots=(sid/program/virtio)
if [[ -n ${FULL_NETWORK_BOOT-} ]]; then
  network_boots+=(
    trixie/program/virtio trixie/system/virtio sid/system/virtio trixie/ipxe/virtio trixie/ipxe/e1000e
    sid/ipxe/e1000e)
fi
network_boot_series=6.12

# little_endian BYTES NUMBER: in hexadecimal.
little_endian() {
  local index
  for ((index = 0; index < $1; index++)); do printf '%02x' $(($2 >> (8 * index) & 255)); done
}

# text_of TEXT: in hexadecimal.
text_of() {
  printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n'
}

# wide_of TEXT: in hexadecimal, UTF-16 with a zero behind it.
wide_of() {
  text_of "$1" | sed 's/../&00/g'
  printf 0000
}

# boot_variable NAME DATA: both of EFI_GLOBAL_VARIABLE, as the record of edk2's store of authenticated variables:
# header, name, data, and ones up to four bytes. All in hexadecimal.
boot_variable() {
  local record name
  name=$(wide_of "$1")
  # There; for boot services and the OS, kept; no count, no time, no key.
  record=aa553f00$(little_endian 4 7)$(little_endian 8 0)$(little_endian 16 0)$(little_endian 4 0)
  record+=$(little_endian 4 $((${#name} / 2)))$(little_endian 4 $((${#2} / 2)))61dfe48bca93d211aa0d00e098032b8c$name$2
  while [[ $((${#record} % 8)) -ne 0 ]]; do record+=ff; done
  printf '%s' "$record"
}

# make_boot_variables TEMPLATE FILE URL: variables with which the next start is from there.
make_boot_variables() {
  local uri option records
  uri=$(text_of "$3")
  # A device path of that URI alone, which firmware finds a card for.
  uri=0318$(little_endian 2 $((4 + ${#uri} / 2)))${uri}7fff0400
  option=$(little_endian 4 1)$(little_endian 2 $((${#uri} / 2)))$(wide_of network)$uri
  records=$(boot_variable Boot0099 "$option")$(boot_variable BootNext "$(little_endian 2 $((0x99)))")
  cp "$1" "$2" || return 1
  # Behind the headers of the volume and of the store, which is empty.
  if [[ $(od -An -v -tx1 -j 100 -N $((${#records} / 2)) "$1" | tr -d ' \nf') != '' ]]; then
    printf '%s has variables\n' "$1"
    return 1
  fi
  busybox xxd -r -p <<<"$records" | dd of="$2" bs=1 seek=100 conv=notrunc status=none
}

# make_network_boots DIRECTORY: what the server has, disks with iPXE, and variables. Adds to `files`.
make_network_boots() {
  local directory=$1 tree=$1/tree suite how boot cache kernel firmware url
  fill_rig_cache fetch_tree ipxe trixie unpack_packages ipxe || return 1
  mkdir -p "$directory/www" "$tree"/{bin,dev,proc,sys} "$tree.disc"
  make_efi_client "$directory/www/program.efi" || return 1
  get_kernel "$network_boot_series" || return 1
  cp /bin/busybox "$tree/bin/"
  install_init "$tree" "$here/tests/network-boot-init.sh"
  pack_initramfs "$tree" | gzip -1 >"$tree.disc/initrd" || return 1
  cp "$kernel/vmlinuz" "$tree.disc/"
  cp "$tree.disc"/{initrd,vmlinuz} "$directory/www/"
  if [[ -n ${FULL_NETWORK_BOOT-} ]]; then
    make_grub_cd "$directory/www/system.iso" "$tree.disc" '/vmlinuz console=ttyS0 panic=-1 quiet' /initrd || return 1
  fi
  printf '%s\n' '#!ipxe' 'dhcp' \
    'kernel http://10.0.2.2:8000/vmlinuz console=ttyS0 panic=-1 quiet initrd=initrd' \
    'initrd http://10.0.2.2:8000/initrd' 'boot' >"$directory/autoexec.ipxe"
  for boot in "${network_boots[@]}"; do
    IFS=/ read -r suite how _ <<<"$boot"
    get_firmware "$suite" || return 1
    files+=(--file "$firmware$ovmf:/firmware/$suite")
    case $how in
      program | system)
        url=http://10.0.2.2:8000/program.efi
        if [[ $how == system ]]; then url=http://10.0.2.2:8000/system.iso; fi
        make_boot_variables "$firmware$ovmf/OVMF_VARS_4M.fd" "$directory/$suite-$how.vars" "$url" || return 1
        ;;
      *)
        make_esp_disk "$directory/ipxe.img" 40M "$cache/ipxe/usr/lib/ipxe/ipxe.efi:/EFI/BOOT/BOOTX64.EFI" \
          "$directory/autoexec.ipxe:/autoexec.ipxe" || return 1
        ;;
    esac
  done
  rm -r "$tree" "$tree.disc" "$directory/autoexec.ipxe"
}

run_network_boot() {
  local rig_status=0 guests='Network boot' out=$logs/network-boot/out before=$failed boot name
  local directory=$logs/network-boot/guest
  local -a files=()
  rm -rf "$logs/network-boot"
  mkdir -p "$directory"
  require_packages grub-common grub-efi-amd64-bin xorriso mtools fdisk busybox-static || return 1
  NETWORK_PASST=trixie get_passt || return 1
  make_network_boots "$directory" || return 1
  logged network-boot "$here/rig" --timeout $((300 + 300 * ${#network_boots[@]})) --cpus 1 --out "$out" \
    --file "$vmm_run:/usr/bin/vmm-run" "${files[@]}" --file "$directory:/guest" \
    --script "$here/tests/network-boot-in-rig.sh" -- "${network_boots[@]}" || rig_status=$?
  if [[ $rig_status -ne 0 ]]; then
    fail_check "$guests: the rig's exit status $rig_status"
  fi
  for boot in "${network_boots[@]}"; do
    name=${boot//\//-}
    if [[ $boot == */program/* ]]; then
      # It asks what is zero, of the memory that frames came into.
      check_uefi_share "$name"
    else
      check_status "$name" 0
      check_equal "$name: kernel" "$(uefi_told "$name" kernel | cut -d . -f 1,2)" "$network_boot_series"
      check_uefi_told "$name" network booted
    fi
    check_equal "$name: what the server was asked for" "$(cat "$out/$name.asked")" "$(
      case $boot in
        */program/*) echo program.efi ;;
        */system/*) echo system.iso ;;
        *) printf 'vmlinuz\ninitrd' ;;
      esac)"
  done
  if [[ $failed -eq $before ]]; then
    rm -rf "$directory"
  else
    cat "$logs/network-boot.log"
  fi
}
