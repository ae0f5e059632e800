# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # guests and out are for guests.sh; here, logs, failed, vmm_run: set by scripts/test, report.sh, demo.sh
# Steps of scripts/test: stock OVMF of several Debian suites, what it boots, and its variables, in the
# rig. Sourced, never run; needs firmware.sh.
#
# What runs is in uefi-in-rig.sh; what must come of it here.

ovmf=/usr/share/OVMF
uefi_disks=$logs/uefi/disks
counter_guid='-guid 6f1e1f5c-3f3c-4d0e-9c55-0b6a1f0c0005'

# make_uefi_disks: what all of these steps take along into the rig. OVMF, too, so that steps that run
# side by side find it.
make_uefi_disks() {
  local work=$logs/uefi/work kernel firmware suite
  for suite in "${firmware_suites[@]}"; do get_firmware "$suite" || return 1; done
  rm -rf "$uefi_disks" "$work"
  mkdir -p "$uefi_disks" "$work"
  get_kernel 6.12 efivarfs qemu_fw_cfg nls_cp437 nls_ascii fat vfat || return 1
  mkdir "$uefi_disks/modules"
  cp "$kernel"/{nls_cp437,nls_ascii,fat,vfat}.ko "$uefi_disks/modules" || return 1
  make_efi_client "$work/client.efi" || return 1
  make_esp_disk "$uefi_disks/client.img" 40M "$work/client.efi:/EFI/BOOT/BOOTX64.EFI" || return 1
  make_efi_cd "$uefi_disks/client.iso" "$work/client.efi" || return 1
  truncate -s 40M "$uefi_disks/fat.img"
  quietly mformat -F -i "$uefi_disks/fat.img" :: || return 1
  # One call of SetVariable each; `set` would make two, and the variable be absent between them.
  printf '%s\r\n' '@echo -off' "setvar counter $counter_guid" 'for %i run (10 99)' \
    "  setvar counter $counter_guid -nv -bs =%i" '  echo counted %i.' 'endfor' \
    >"$work/startup.nsh"
  make_esp_disk "$uefi_disks/counter.img" 40M "$work/startup.nsh:/startup.nsh" || return 1
  make_linux_disk "$uefi_disks/grub.img" "$work/tree" "$kernel" || return 1
  rm -rf "$work"
}

# make_linux_disk IMAGE TREE KERNEL: GRUB, Linux and scripts/tests/uefi-init.sh, with tpm2-tools.
make_linux_disk() {
  local program
  make_uefi_root "$2" "$3"/{efivarfs,qemu_fw_cfg}.ko || return 1
  require_packages tpm2-tools || return 1
  # What it opens itself comes along by name.
  for program in /usr/bin/tpm2 /usr/lib/x86_64-linux-gnu/libtss2-tcti-device.so.0; do
    take_program "$2" "$program"
  done
  make_grub_disk "$1" "$3/vmlinuz" "$2"
}

# uefi_told GUEST NAME: what follows NAME in the last of the guest's lines `@ NAME ...`.
uefi_told() {
  tr -d '\r' <"$out/$1.console" | sed -n "s|^.*@ $2 ||p" | tail -n 1
}

# check_uefi_told GUEST NAME VALUE
check_uefi_told() {
  check_equal "$1: $2" "$(uefi_told "$1" "$2")" "$3"
}

# check_picture GUEST WIDTH HEIGHT: its screenshot is a PNG of that size, and not all black.
check_picture() {
  local header lit
  header=$(od -An -tx1 -N 24 "$out/$1.png" | tr -d ' \n')
  check_equal "$1: PNG signature and size" "${header:0:16} ${header:32:16}" \
    "89504e470d0a1a0a $(printf '%08x%08x' "$2" "$3")"
  lit=$(tail -c +60 "$out/$1.png" | tr -d '\0' | wc -c)
  if [[ $lit -ge 5000 ]]; then
    pass_check "$guests, $1: $lit bytes of the picture are not black"
  else
    fail_check "$guests, $1: the picture is black: $lit bytes are not"
  fi
}

check_uefi_shell() {
  local found="$ovmf/OVMF_CODE_4M.fd, variables from $ovmf/OVMF_VARS_4M.fd, by "
  found+=/usr/share/qemu/firmware/60-edk2-x86_64.json
  check_status shell 0
  check_equal 'shell: the firmware that check finds' \
    "$(sed -n 's/^ *UEFI firmware (--firmware auto) *available *//p' "$out/check")" "$found"
  check_picture shell 1280 800
  check_equal 'shell: prompts' "$(grep -cF 'Shell> ' "$out/shell.console")" 1
  # COM2 and CPU hotplug, which OVMF looks for; a device that is missing by mistake would be more.
  check_equal 'shell: ports without a device' \
    "$(sed -n 's/^vmm-run: .* port \(0x[0-9a-f]*\):.*/\1/p' "$out/shell.stderr" | sort -u | tr '\n' ' ')" \
    '0x2ff 0xcd8 0xcdd '
}

check_uefi_menu() {
  check_status menu 0
  check_equal 'menu: reached' "$(grep -cF 'Select Entry' "$out/menu.console")" 1
  # The front page has the processor's name and speed, by SMBIOS.
  if grep -qaE '[1-9][0-9]*\.[0-9]+ GHz|0\.[0-9]*[1-9][0-9]* GHz' "$out/menu.console" &&
    grep -qaF "$(cat "$out/model")" "$out/menu.console"; then
    pass_check "$guests, menu: $(cat "$out/model"), $(grep -aoE '[0-9.]+ GHz' "$out/menu.console" | tail -n 1)"
  else
    fail_check "$guests, menu: not the name '$(cat "$out/model")', or no speed: $(
      grep -aoE '[0-9.]+ GHz' "$out/menu.console" | tail -n 1)"
  fi
}

check_uefi_counter() {
  local told found
  # `found` is the last value that was told, or the one that was being written.
  told=$(grep -aoE 'counted [0-9]+\.' "$out/counter.console" | tail -n 1 | tr -cd 0-9)
  found=$(tr -d '\r' <"$out/counted.console" |
    sed -n '/counter - 0001 Bytes/{n;s/^\([0-9]*\).*/\1/p}')
  if [[ ${told:-0} -ge 22 && ${found:-0} -ge $told && $found -le $((told + 1)) ]]; then
    pass_check "$guests, counter: killed after $told, found $found"
  else
    fail_check "$guests, counter: killed after ${told:-nothing}, found ${found:-nothing}"
  fi
}

# check_uefi_share GUEST: what a program got that asked as a loader would: no page that is not zero, and nearly all
# that are.
check_uefi_share() {
  local share
  check_status "$1" 0
  check_uefi_told "$1" outcome Success
  check_uefi_told "$1" 'result 0x8001' 0x0000
  check_uefi_told "$1" 'result 0x8002' 0x0000
  check_uefi_told "$1" false-pages 0
  check_uefi_told "$1" in-use-false-pages 0
  check_uefi_told "$1" impossible-ranges 0
  check_uefi_told "$1" not-ram-pages 0
  share=$(uefi_told "$1" share-permille)
  if [[ ${share:-0} -ge 990 ]]; then
    pass_check "$guests, $1: $share per mille of the zero memory reported, of $(
      uefi_told "$1" truly-zero-pages) pages"
  else
    fail_check "$guests, $1: ${share:-no} per mille of the zero memory reported"
  fi
}

check_uefi_client() {
  check_uefi_share client
  # In pages: of 4 GiB 2 lie below 4 GiB and 2 above. What firmware reserves of it is RAM, too.
  check_equal 'client: reported ranges that are not all RAM' "$(jq -rs '
    [.[].ranges // [] | .[] | {start: .startPage, end: (.startPage + .pageCount)}
     | select((.end <= 524288 or (.start >= 1048576 and .end <= 1572864)) | not)] | length
    ' "$out/client.trace")" 0
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
    check_uefi_tpm "grub-$boot"
  done
  check_uefi_events grub-1
  check_uefi_told grub-1 'dmi product_uuid' 01234567-89ab-cdef-0123-456789abcdef
  check_uefi_told grub-1 'fw_cfg opt/test/word' 'from outside'
  check_uefi_told grub-1 'dmi product_name' 'A Product'
  check_uefi_told grub-1 'dmi product_serial' 'S 1'
  check_uefi_told grub-1 'dmi product_sku' K2
  check_uefi_told grub-1 'dmi product_family' F3
  check_uefi_told grub-1 'dmi chassis_asset_tag' T-4,5
  check_uefi_told grub-1 'dmi oem' 'one two  '
  check_uefi_told grub-2 'dmi product_name' 'Virtual Machine'
  check_equal "grub-2: a UUID of the disk's" \
    "$(uefi_told grub-2 'dmi product_uuid' | cut -c 15)" 8
  check_equal 'grub: e2fsck' "$(e2fsck -fn "$out/grub.img?offset=$((49 * 1048576))" \
    >"$out/grub.fsck" 2>&1; echo $?)" 0
}

# check_uefi_tpm GUEST: what firmware left in the TPM, that it answers, and that it has the secret.
check_uefi_tpm() {
  local log
  check_uefi_told "$1" 'tpm driver' tpm_crb
  check_uefi_told "$1" 'tpm presence' 1.3
  check_uefi_told "$1" 'tpm complaints' 0
  check_uefi_told "$1" 'tpm selftest' passed
  check_uefi_told "$1" 'tpm unsealed' 'a secret'
  check_uefi_told "$1" 'tpm measured' 8
  log=$(uefi_told "$1" 'tpm log')
  if [[ ${log:-0} -ge 2000 ]]; then
    pass_check "$guests, $1: an event log of $log bytes"
  else
    fail_check "$guests, $1: an event log of ${log:-no} bytes"
  fi
}

# check_uefi_events GUEST: tpm2-tools read the log that firmware made, and it has events of PCR 0 to 7.
check_uefi_events() {
  uefi_told "$1" 'tpm data' | base64 -d >"$out/$1.events" 2>/dev/null
  check_equal "$1: PCRs in the event log" "$(event_log_form "$out/$1.events" | cut -d ' ' -f 1 | sort -nu | head -n 8 |
    tr '\n' ' ')" '0 1 2 3 4 5 6 7 '
}

# event_log_form FILE: of each event in a TPM's log its PCR, its type and the algorithms of its digests.
event_log_form() {
  tpm2_eventlog "$1" 2>/dev/null | awk '
    / PCRIndex:/ { if (event) print event; event = $NF }
    / EventType:/ { event = event " " $NF }
    / AlgorithmId:/ { event = event " " $NF }
    /^pcrs:/ { print event; exit }'
}

# After a reset, and after vmm-run was killed.
check_uefi_killed_tpm() {
  check_equal 'tpm-1: the secret, before and after a reset' \
    "$(tr -d '\r' <"$out/tpm-1.console" | grep -cxF '@ tpm unsealed a secret')" 2
  check_uefi_tpm tpm-1
  check_equal 'tpm: emulators before vmm-run is killed, and after' \
    "$(cat "$out/tpm-before" "$out/tpm-after" | tr '\n' ' ')" '1 0 '
  check_refused tpm-locked "the TPM's directory /tmp/tpm is in use"
  check_status tpm-2 0
  check_uefi_tpm tpm-2
}

check_uefi_refusals() {
  check_refused locked 'vars.fd is in use'
  check_refused no-firmware 'firmware /tmp/nothing.fd: No such file'
  check_refused odd-firmware 'odd.fd has 100000 bytes'
  check_refused empty-firmware 'empty.fd has no code at its end'
  check_refused no-variables 'no-vars.fd has 65536 bytes and .* 540672'
  check_refused short-variables 'short.fd has 131072 bytes and .* 540672'
  check_refused no-template 'no template .*--vars-template'
  check_refused unknown-layout 'no template is known .* in /tmp/known\.fd; .*--vars-template'
  check_refused whole-image 'whole\.fd has its variables in it'
  check_refused same-file "'--vars' .* and '--firmware' .* are one file"
  check_refused long-name 'opt/a b'
  check_refused own-name 'etc/e820 is there already'
}

# The new file is complete, and the only one there.
check_uefi_fat() {
  check_refused on-fat 'disk image /nothing'
  check_equal 'variables on a file system without hard links' "$(cat "$out/fat")" vars.fd
}

# uefi_guests SUITE NAME SCENARIO...: one boot of the rig with the OVMF of that suite; sets `guests` and
# `out` for the checks of its scenarios.
uefi_guests() {
  local suite=$1 name=$1-$2 firmware
  shift 2
  get_firmware "$suite" || return 1
  guests="UEFI, OVMF $(firmware_version "$firmware")"
  out=$logs/uefi/$name
  rm -rf "$out"
  logged "uefi-$name" "$here/rig" --timeout 1800 --cpus 1 --disk 64M --out "$out" \
    --file "$vmm_run:/usr/bin/vmm-run" --file "$firmware$ovmf:$ovmf" \
    --file "$firmware/usr/share/qemu/firmware:/usr/share/qemu/firmware" \
    --file "$uefi_disks:/uefi" --file /usr/bin/swtpm --file /bin/cp:/usr/bin/sparse-cp \
    --script "$here/tests/uefi-in-rig.sh" -- "$@" ||
    fail_check "$guests: the rig's exit status $?"
}

# end_uefi_guests FAILED-BEFORE: keeps what explains a failure, and no more.
end_uefi_guests() {
  if [[ $failed -eq $1 ]]; then
    rm -f "$out/grub.img"
  else
    cat "$logs/uefi-$(basename -- "$out").log"
  fi
}

run_uefi_shells() {
  local guests out before=$failed
  uefi_guests bookworm shells first_shell menu counter refusals fat || return 1
  check_uefi_shell
  check_uefi_menu
  check_uefi_counter
  check_uefi_refusals
  check_uefi_fat
  end_uefi_guests "$before"
}

run_uefi_boots() {
  local guests out before=$failed
  uefi_guests bookworm boots client grub tpm || return 1
  check_uefi_client
  check_uefi_grub
  check_uefi_killed_tpm
  end_uefi_guests "$before"
}

run_uefi_trixie() {
  run_uefi_suite trixie
}

run_uefi_sid() {
  run_uefi_suite sid
}

# run_uefi_suite SUITE: what any OVMF must do: the shell, the program that asks for zero memory, this time from
# a CD, GRUB with a kernel.
run_uefi_suite() {
  local guests out before=$failed
  uefi_guests "$1" all first_shell client_from_cd grub || return 1
  check_uefi_shell
  check_uefi_client
  check_uefi_grub
  check_refused locked 'vars.fd is in use'
  end_uefi_guests "$before"
}
