# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # guests is for guests.sh; here, logs, failed, vmm_run: set by scripts/test, report.sh, demo.sh
# Step of scripts/test: a Linux guest asks which of its memory is zero, and looks: as it starts, when memory that it no
# longer uses went back, with a balloon and after it, with memory that was added, and when it goes on from what was saved.
# Sourced, never run.
#
# Who asks is a module (Tests/LinuxClient), what runs is in zeroed-in-rig.sh, what the guests do in zeroed-init.sh, what must
# come of it here.

# SERIES-CPUS-WHAT: hints, balloon and added memory by VMBus; reports and balloon by virtio.
zeroed_guests=(6.1-2-vmbus 6.1-1-virtio)

# make_zeroed_guest DIRECTORY SERIES: kernel and initramfs.
make_zeroed_guest() {
  local directory=$1/$2 series=$2 kernel tree=$1/$2.tree
  local -a vmbus=(hv_vmbus hv_balloon)
  local -a virtio=(virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_balloon)
  get_kernel "$series" "${vmbus[@]}" "${virtio[@]}" || return 1
  mkdir -p "$directory" "$tree"/{bin,dev,proc,sys,tmp}
  cp /bin/busybox "$tree/bin/"
  add_modules "$tree" "$kernel" vmbus "${vmbus[@]}" || return 1
  add_modules "$tree" "$kernel" virtio "${virtio[@]}" || return 1
  build_module "$1/module" "$series" Tests/LinuxClient || return 1
  cp "$1/module/zeroed_memory.ko" "$tree/modules/"
  install_init "$tree" "$here/tests/zeroed-init.sh"
  pack_initramfs "$tree" | gzip -1 >"$directory/initrd" || return 1
  cp "$kernel/vmlinuz" "$directory/"
  rm -r "$tree"
}

# check_zeroed NAME: at each moment no page that is not zero was reported, and nearly all that are; there were
# so many MiB of memory, and a file of 128 MiB that was removed is no reason for less.
check_zeroed() {
  local guest=zeroed-$1 question moment reported ranges wrong elsewhere pages zero started=0
  local -a questions=('started 320' 'freed 320' 'ballooned 320' 'returned 320')
  if [[ $1 == *-vmbus ]]; then questions+=('grown 576' 'saved 576'); else questions+=('saved 320'); fi
  check_status "$guest" 0
  tr -d '\r' <"$out/$guest.console" | grep -a '^@ ' >"$out/$guest.told"
  for question in "${questions[@]}"; do
    moment=${question% *}
    read -r reported ranges wrong elsewhere pages zero < <(sed -nE "s/^@ zeroed_memory: $moment: ([0-9]+) pages in \
([0-9]+) ranges, not zero ([0-9]+), not memory ([0-9]+); of ([0-9]+) pages ([0-9]+) are zero\$/\1 \2 \3 \4 \5 \6/p" \
      "$out/$guest.told")
    check_equal "$guest, $moment: pages reported that are not zero, and that are no memory" "$wrong $elsewhere" '0 0'
    if [[ $((pages >> 8)) -ge $((${question#* } - 4)) && $zero -ge $((started * 8 / 10)) &&
      $((reported * 100)) -ge $((zero * 95)) ]]; then
      pass_check "$guests, $guest, $moment: $reported pages reported, in $ranges ranges, of $zero that are zero, of $pages"
    else
      fail_check "$guests, $guest, $moment: $reported pages reported of $zero that are zero, of $pages; $started when it started"
    fi
    if [[ $moment == started ]]; then started=${zero:-0}; fi
  done
  check_messages "$guest"
}

run_zeroed_in_rig() {
  local rig_status=0 guests='Zero pages' directory=$logs/zeroed out=$logs/zeroed/out before=$failed guest
  rm -rf "$directory"
  make_zeroed_guest "$directory/guest" 6.1 || return 1
  logged zeroed-in-rig "$here/rig" --timeout 600 --cpus 1 --out "$out" \
    --file "$vmm_run:/usr/bin/vmm-run" --file "$directory/guest:/guest" \
    --file "$here/tests/balloons-in-rig.sh:/balloons-in-rig.sh" --script "$here/tests/zeroed-in-rig.sh" -- "${zeroed_guests[@]}" || rig_status=$?
  if [[ $rig_status -ne 0 ]]; then fail_check "$guests of Linux guests in the rig: exit status $rig_status"; fi
  for guest in "${zeroed_guests[@]}"; do check_zeroed "$guest"; done
  if [[ $failed -eq $before ]]; then
    rm -rf "$directory/guest"
  else
    cat "$logs/zeroed-in-rig.log"
  fi
}
