# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # guests is for guests.sh; here, logs, failed, vmm_run: set by scripts/test, report.sh, demo.sh
# Step of scripts/test: VMBus as the drivers of stock Linux have it, in the rig. Sourced, never run.
#
# What runs is in vmbus-in-rig.sh, what the guests do in vmbus-init.sh, what must come of it here.

# With VMBUS_KEXEC=1 the first starts a second kernel by kexec.
#
# SERIES-CPUS-WHAT: each has the services; one reports free memory, the other has a balloon, and grows.
vmbus_guests=(6.12-1-reports 7.3-2-balloon)
# By their kinds: Dynamic Memory; time, shutdown, heartbeat.
vmbus_memory=525074dc-8985-46e2-8057-a307dc18a502
vmbus_services=(9527e630-d0ae-497b-adce-e80ab0175caf 0e0b6031-5213-4934-818b-38d90ced39db
  57164f39-9115-4e78-ab55-382f3bd5422d)

# make_vmbus_guest DIRECTORY SERIES INIT: kernel and initramfs, in DIRECTORY/SERIES. The drivers are the list `vmbus`.
make_vmbus_guest() {
  local directory=$1/$2 series=$2 init=$3 kernel tree=$1/$2.tree
  local -a modules=(hv_utils hv_balloon)
  # Since 7.2 the bus itself is no module.
  if [[ $series == 6.* ]]; then modules=(hv_vmbus "${modules[@]}"); fi
  get_kernel "$series" "${modules[@]}" || return 1
  mkdir -p "$directory" "$tree"/{bin,dev,proc,sys,tmp}
  cp /bin/busybox "$tree/bin/"
  add_modules "$tree" "$kernel" vmbus "${modules[@]}" || return 1
  install_init "$tree" "$here/tests/$init"
  pack_initramfs "$tree" | gzip -1 >"$directory/initrd" || return 1
  cp "$kernel/vmlinuz" "$directory/"
  if [[ $init == vmbus-init.sh && $series == 6.* && -n ${VMBUS_KEXEC-} ]]; then
    mkdir "$tree/second"
    mv "$directory/initrd" "$tree/second/"
    cp "$kernel/vmlinuz" "$tree/second/"
    cc -O2 -Wall -static -o "$tree/bin/kexec" "$here/tests/kexec.c" || return 1
    pack_initramfs "$tree" | gzip -1 >"$directory/initrd" || return 1
  fi
  rm -r "$tree"
}

check_vmbus_guest() {
  local guest=vmbus-$1 service line
  check_status "$guest" 0
  tr -d '\r' <"$out/$guest.console" | grep -a '^@ ' >"$out/$guest.told"
  for service in "${vmbus_services[@]}"; do
    check_seen "$guest" "device $service hv_utils"
    check_seen "$guest" "without $service none"
    check_seen "$guest" "again $service hv_utils"
  done
  if [[ -n ${VMBUS_KEXEC-} && $1 == 6.* ]]; then
    for line in 'kernel 6\.12.*' 'version 5\.3' "device $vmbus_memory hv_balloon" \
      "again 9527e630-d0ae-497b-adce-e80ab0175caf hv_utils"; do
      check_equal "$guest, two kernels: $line" "$(grep -cx "@ $line" "$out/$guest.told")" 2
    done
  fi
  check_seen "$guest" "device $vmbus_memory hv_balloon"
  for line in 'version 5\.3' 'time was set' ready 'asked to power off'; do check_seen "$guest" "$line"; done
  check_messages "$guest"
}

# check_vmbus_balloon GUEST: it gave 64 MiB up, and got them back; then 256 MiB more, and used them.
check_vmbus_balloon() {
  local guest=vmbus-$1 line
  for line in 'vmm_memory_bytes{class="ballooned"} 67108864' 'vmm_balloon_target_bytes 67108864' \
    'vmm_balloon_given_back_bytes_total 67108864'; do
    check_equal "$guest: $line" "$(grep -cxF "$line" "$out/$guest.metrics")" 1
  done
  check_equal "$guest: what it says it has available" \
    "$(grep -cE '^vmm_memory_bytes\{class="available"\} [1-9][0-9]{8}$' "$out/$guest.metrics")" 1
  check_equal "$guest: its memory came back" \
    "$(grep -cxF 'vmm_memory_bytes{class="ballooned"} 0' "$out/$guest.metrics-after")" 1
  check_equal "$guest: the report's lines" "$(grep -cE \
    -e '^  balloon 64 MiB of 64 MiB, 64 MiB given back, .* MiB available in the guest, .*' \
    -e '^  VMBus   4 devices in use, shutdown is heard, heartbeat [1-9][0-9]*$' "$out/$guest.stderr")" 3
  check_equal "$guest: what was added" \
    "$(grep -cxF 'vmm_memory_bytes{class="added"} 268435456' "$out/$guest.metrics-grown")" 1
  check_equal "$guest: all of it" \
    "$(grep -cxF 'vmm_memory_bytes{class="ram"} 603979776' "$out/$guest.metrics-grown")" 1
  check_equal "$guest: what was added, in a report" \
    "$(grep -cE '^  balloon 0 bytes of 0 bytes, .*, 256 MiB of 256 MiB added, ' "$out/$guest.stderr")" 1
  check_seen "$guest" 'grown by [0-9]*'
  check_seen "$guest" 'grown memory holds 33554432 bytes'
  # Where the guest had nothing before.
  check_seen "$guest" 'in what was added (2[5-9]|[3-9][0-9]) MiB'
  check_equal "$guest: blocks that differ" "$(grep -c '^@ block' "$out/$guest.told")" 0
}

run_vmbus_in_rig() {
  local rig_status=0 guests='VMBus of Linux' directory=$logs/vmbus out=$logs/vmbus/out before=$failed guest
  rm -rf "$directory"
  for guest in "${vmbus_guests[@]}"; do make_vmbus_guest "$directory/guest" "${guest%%-*}" vmbus-init.sh || return 1; done
  logged vmbus-in-rig "$here/rig" --timeout 600 --cpus 1 --out "$out" \
    --file "$vmm_run:/usr/bin/vmm-run" --file "$directory/guest:/guest" \
    --file "$here/tests/balloons-in-rig.sh:/balloons-in-rig.sh" --script "$here/tests/vmbus-in-rig.sh" -- "${vmbus_guests[@]}" || rig_status=$?
  if [[ $rig_status -ne 0 ]]; then fail_check "$guests in the rig: exit status $rig_status"; fi
  for guest in "${vmbus_guests[@]}"; do
    check_vmbus_guest "$guest"
    case $guest in
      *-reports) check_given_back "vmbus-$guest" 200 ;;
      *-balloon) check_vmbus_balloon "$guest" ;;
    esac
  done
  if [[ $failed -eq $before ]]; then
    rm -rf "$directory/guest"
  else
    cat "$logs/vmbus-in-rig.log"
  fi
}
