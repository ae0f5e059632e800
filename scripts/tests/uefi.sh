# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # guests is for guests.sh; here, logs, failed, vmm_run: set by scripts/test, report.sh, demo.sh
# Step of scripts/test: stock OVMF, what it boots, and its variables, in the rig. Sourced, never run.
#
# What runs is in uefi-in-rig.sh; what must come of it here.

ovmf=/usr/share/OVMF
counter_guid='-guid 6f1e1f5c-3f3c-4d0e-9c55-0b6a1f0c0005'

# make_uefi_disks DIRECTORY: what is taken along into the rig.
make_uefi_disks() {
  local directory=$1 kernel
  require_packages ovmf || return 1
  rm -rf "$directory"
  mkdir -p "$directory/disks"
  get_kernel 6.12 efivarfs qemu_fw_cfg || return 1
  make_efi_client "$directory/client.efi" || return 1
  make_esp_disk "$directory/disks/client.img" 40M "$directory/client.efi:/EFI/BOOT/BOOTX64.EFI" ||
    return 1
  # One call of SetVariable each; `set` would make two, and the variable be absent between them.
  printf '%s\r\n' '@echo -off' "setvar counter $counter_guid" 'for %i run (10 99)' \
    "  setvar counter $counter_guid -nv -bs =%i" '  echo counted %i.' 'endfor' \
    >"$directory/startup.nsh"
  make_esp_disk "$directory/disks/counter.img" 40M "$directory/startup.nsh:/startup.nsh" || return 1
  make_uefi_root "$directory/tree" "$kernel"/{efivarfs,qemu_fw_cfg}.ko || return 1
  make_grub_disk "$directory/disks/grub.img" "$kernel/vmlinuz" "$directory/tree" ||
    return 1
  cp "$ovmf/OVMF_VARS_4M.fd" "$directory/disks/vars.fd"
}

# uefi_told GUEST NAME: what follows NAME in the last of the guest's lines `@ NAME ...`.
uefi_told() {
  tr -d '\r' <"$out/$1.console" | sed -n "s|^.*@ $2 ||p" | tail -n 1
}

# check_uefi_told GUEST NAME VALUE
check_uefi_told() {
  check_equal "$1: $2" "$(uefi_told "$1" "$2")" "$3"
}

check_uefi_shells() {
  local told found
  check_status shell 0
  check_equal 'shell: prompts' "$(grep -cF 'Shell> ' "$out/shell.console")" 1
  # COM2 and CPU hotplug, which OVMF looks for; a device that is missing by mistake would be more.
  check_equal 'shell: ports without a device' \
    "$(sed -n 's/^vmm-run: .* port \(0x[0-9a-f]*\):.*/\1/p' "$out/shell.stderr" | sort -u | tr '\n' ' ')" \
    '0x2ff 0xcd8 0xcdd '
  check_status menu 0
  check_equal 'menu: reached' "$(grep -cF 'Select Entry' "$out/menu.console")" 1

  # `found` is the last value that was told, or the one that was being written.
  told=$(grep -aoE 'counted [0-9]+\.' "$out/counter.console" | tail -n 1 | tr -cd 0-9)
  found=$(tr -d '\r' <"$out/counted.console" |
    sed -n '/counter - 0001 Bytes/{n;s/^\([0-9]*\).*/\1/p}')
  if [[ ${told:-0} -ge 22 && ${found:-0} -ge $told && $found -le $((told + 1)) ]]; then
    pass_check "UEFI, counter: killed after $told, found $found"
  else
    fail_check "UEFI, counter: killed after ${told:-nothing}, found ${found:-nothing}"
  fi
}

check_uefi_client() {
  local share
  check_status client 0
  check_uefi_told client outcome Success
  check_uefi_told client 'result 0x8001' 0x0000
  check_uefi_told client 'result 0x8002' 0x0000
  check_uefi_told client false-pages 0
  check_uefi_told client in-use-false-pages 0
  check_uefi_told client impossible-ranges 0
  check_uefi_told client not-ram-pages 0
  share=$(uefi_told client share-permille)
  if [[ ${share:-0} -ge 950 ]]; then
    pass_check "UEFI, client: $share per mille of the zero memory reported, of $(
      uefi_told client truly-zero-pages) pages"
  else
    fail_check "UEFI, client: ${share:-no} per mille of the zero memory reported"
  fi
  check_equal 'client: variables with --no-persist' "$(cat "$out/kept.cmp")" ''
}

check_uefi_grub() {
  local boot
  for boot in 1 2; do
    check_status "grub-$boot" 0
    check_uefi_told "grub-$boot" root 'ext4 rw'
    check_uefi_told "grub-$boot" processors "$boot"
    check_uefi_told "grub-$boot" hypervisor 'Microsoft Hyper-V'
    check_uefi_told "grub-$boot" boot "$boot"
    check_uefi_told "grub-$boot" variable "$boot"
    check_uefi_told "grub-$boot" 'dmi sys_vendor' vmm-run
  done
  check_uefi_told grub-1 'dmi product_uuid' 01234567-89ab-cdef-0123-456789abcdef
  check_uefi_told grub-1 'fw_cfg opt/test/word' 'from outside'
  check_equal "grub-2: a UUID of the disk's" \
    "$(uefi_told grub-2 'dmi product_uuid' | cut -c 15)" 8
  check_equal 'grub: e2fsck' "$(e2fsck -fn "$out/grub.img?offset=$((49 * 1048576))" \
    >"$out/grub.fsck" 2>&1; echo $?)" 0
}

check_uefi_refusals() {
  check_refused locked 'vars.fd is in use'
  check_refused no-firmware 'firmware /tmp/nothing.fd: No such file'
  check_refused odd-firmware 'odd.fd has 100000 bytes'
  check_refused empty-firmware 'empty.fd has no code at its end'
  check_refused no-variables 'no-vars.fd has 65536 bytes and .* 540672'
  check_refused short-variables 'short.fd has 131072 bytes and .* 540672'
  check_refused no-template 'no template .*--vars-template'
  check_refused long-name 'opt/a b'
  check_refused own-name 'etc/e820 is there already'
}

# uefi_rig NAME SCENARIO...: one boot of the rig.
uefi_rig() {
  local name=$1
  shift
  logged "uefi-$name" "$here/rig" --timeout 1800 --cpus 1 --out "$logs/uefi/$name" \
    --file "$vmm_run:/usr/bin/vmm-run" --file "$ovmf" --file "$logs/uefi/disks:/uefi" \
    --file /bin/cp:/usr/bin/sparse-cp --script "$here/tests/uefi-in-rig.sh" -- "$@"
}

# Two rigs side by side: each has one CPU.
run_uefi_in_rig() {
  local shells boots before=$failed guests=UEFI out=$logs/uefi/out
  make_uefi_disks "$logs/uefi" || return 1
  uefi_rig shells first_shell menu counter refusals &
  shells=$!
  uefi_rig boots client grub &
  boots=$!
  wait "$shells" || fail_check "UEFI shells in the rig: exit status $?"
  wait "$boots" || fail_check "UEFI boots in the rig: exit status $?"
  mkdir -p "$out"
  cp -- "$logs"/uefi/{shells,boots}/* "$out"
  check_uefi_shells
  check_uefi_client
  check_uefi_grub
  check_uefi_refusals
  if [[ $failed -eq $before ]]; then
    rm -rf "$logs/uefi/disks" "$logs"/uefi/*/grub.img
  else
    cat "$logs"/uefi-*.log
  fi
}
