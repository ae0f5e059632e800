# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # here, logs, failed, vmm_run: set by scripts/test, report.sh, demo.sh
# Step of scripts/test: Linux guests and OVMF that are saved and restored while they work, and move to another process, in
# the rig. Sourced, never run; needs network.sh.
#
# What runs is in snapshot-in-rig.sh, what the guests do in snapshot-init.sh, what must come of it here.

# With SNAPSHOT_TWO_RIGS=1 each guest is saved in one rig, and goes on in another, whose processor is of the same kind.
#
# SERIES-CPUS, and -vmbus for one with VMBus, -tpm for one with a TPM: that takes a test with more times.
snapshot_guests=(6.12-1-vmbus 7.3-2)
snapshot_times=${SNAPSHOT_TIMES:-3}
if [[ -n ${SNAPSHOT_TIMES-} ]]; then snapshot_guests+=(6.12-1-tpm); fi
snapshot_two_rigs=false
if [[ -n ${SNAPSHOT_TWO_RIGS-} ]]; then snapshot_two_rigs=true snapshot_guests=(6.12-1-tpm 7.3-2) snapshot_times=1; fi
snapshot_rounds=$((snapshot_times + 5))

# make_snapshot_guest DIRECTORY SERIES: kernel and initramfs.
make_snapshot_guest() {
  local directory=$1 series=$2 kernel tree=$1/$2.tree
  local -a modules=(virtio-rng failover net_failover virtio_net) vmbus=(hv_vmbus hv_utils hv_balloon)
  # Since 7.2 the bus itself is no module.
  if [[ $series == 7.* ]]; then vmbus=(hv_utils hv_balloon); fi
  get_kernel "$series" "${modules[@]}" "${vmbus[@]}" || return 1
  mkdir -p "$tree"/{bin,dev,proc,sys,tmp}
  cp /bin/busybox "$tree/bin/"
  add_modules "$tree" "$kernel" devices "${modules[@]}" || return 1
  add_modules "$tree" "$kernel" vmbus "${vmbus[@]}" || return 1
  install_init "$tree" "$here/tests/snapshot-init.sh"
  pack_initramfs "$tree" | gzip -1 >"$directory/$series.initrd" || return 1
  cp "$kernel/vmlinuz" "$directory/$series.kernel"
  rm -r "$tree"
}

# snapshot_sums ROUNDS: what the guests have to find, a line each.
snapshot_sums() {
  local sum=start line round
  for ((round = 1; round <= $1; round++)); do
    line=$(sha256sum <<<"$sum")
    sum=$(yes "$line" 2>/dev/null | head -c 1M | sha256sum | cut -d ' ' -f 1)
    echo "@ round $round $sum"
  done
}

check_snapshot_guest() {
  local guest=snapshot-$1
  check_status "$guest" 0
  check_equal "$guest: saved and restored" "$(cat "$out/$guest.saved")" "$snapshot_times"
  if [[ $guest == *-tpm ]]; then
    # What Linux has extended when it started, in every life: the TPM is the same, and was not started anew.
    check_equal "$guest: one value of a PCR, not zero" \
      "$(tr -d '\r' <"$out/$guest.console" | sed -n 's/^@ tpm \([0-9A-F]*\)$/\1/p' | grep -v '^0*$' | sort | uniq -c | sed 's/^ *\([0-9]*\) .*/\1/')" \
      "$snapshot_rounds"
  fi
  if [[ $guest == *-vmbus ]]; then check_heartbeat "$guest"; fi
  check_equal "$guest: moved" "$(grep -c downtime_ms "$out/$guest.migrated")" 1
  tr -d '\r' <"$out/$guest.console" | grep -a '^@ ' >"$out/$guest.told"
  check_equal "$guest: every round, once and right" \
    "$(sed -n 's/^\(@ round .*\) at .*/\1/p' "$out/$guest.told")" "$(snapshot_sums $snapshot_rounds)"
  check_equal "$guest: time went on" \
    "$(sed -n 's/^@ round .* at \([0-9.]*\) .*/\1/p' "$out/$guest.told" | sort -n -u | wc -l)" "$snapshot_rounds"
  # Linux's vmgenid driver, by the event and the new generation ID of each life.
  check_seen "$guest" "forks $snapshot_times"
  check_equal "$guest: rounds in which it reached its gateway" \
    "$(grep -c '^@ round .* reached$' "$out/$guest.told")" "$snapshot_rounds"
  check_seen "$guest" 'errors live 0'
  check_seen "$guest" poweroff
  check_messages "$guest"
}

# heartbeats FILE: how many the guest had answered by the last report there.
heartbeats() {
  sed -n 's/^  VMBus   4 devices in use, shutdown is heard, heartbeat \([0-9]*\)$/\1/p' "$1" | tail -n 1
}

# check_heartbeat GUEST: it is answered before and after a move, as by one guest that noticed nothing.
check_heartbeat() {
  local before after
  before=$(heartbeats "$out/$1.stderr")
  after=$(heartbeats "$out/$1.receiver")
  if [[ -n $before && -n $after && $after -gt $before ]]; then
    pass_check "$guests, $1: $before heartbeats before the move, $after then"
  else
    fail_check "$guests, $1: ${before:-no} heartbeats before the move, ${after:-none} then"
  fi
}

check_snapshot_shell() {
  check_status snapshot-shell 0
  if grep -aq 'it is kept: yes' "$out/snapshot-shell.console"; then
    pass_check "$guests, snapshot-shell: a variable of OVMF's shell"
  else
    fail_check "$guests, snapshot-shell: $(tail -n 5 "$out/snapshot-shell.console" "$out/snapshot-shell.stderr")"
  fi
}

# run_snapshot_rig OUT OPTION...: one rig, with `files`.
run_snapshot_rig() {
  local rig_status=0 out=$1
  shift
  logged "snapshot-${out##*/}" "$here/rig" --timeout $((720 + 120 * snapshot_times)) --cpus 1 --out "$out" "${files[@]}" "$@" \
    --script "$here/tests/snapshot-in-rig.sh" -- "$snapshot_times" "$snapshot_rounds" "${snapshot_guests[@]}" || rig_status=$?
  if [[ $rig_status -ne 0 ]]; then fail_check "$guests: the rig's exit status $rig_status"; fi
}

run_snapshots_in_rig() {
  local guests='Linux that is saved and restored' out=$logs/snapshot/out before=$failed guest
  local -a files=()
  local directory=$logs/snapshot firmware ovmf=/usr/share/OVMF
  get_firmware bookworm || return 1
  rm -rf "$directory"
  mkdir -p "$directory/guest"
  get_passt || return 1
  for guest in "${snapshot_guests[@]}"; do
    make_snapshot_guest "$directory/guest" "${guest%%-*}" || return 1
  done
  truncate -s 16M "$directory/guest/disk.img"
  files+=(--file "$vmm_run:/usr/bin/vmm-run" --file "$directory/guest:/guest" --file "$firmware$ovmf:$ovmf" --file /usr/bin/swtpm)
  if $snapshot_two_rigs; then
    # A disk is known by its time, to the nanosecond.
    files+=(--file /usr/bin/stat --file /usr/bin/touch)
    run_snapshot_rig "$directory/first" --env LEAVE=1
    files+=(--file "$directory/first/left:/left")
  fi
  run_snapshot_rig "$out"
  for guest in "${snapshot_guests[@]}"; do check_snapshot_guest "$guest"; done
  if ! $snapshot_two_rigs; then check_snapshot_shell; fi
  if [[ $failed -eq $before ]]; then
    rm -rf "$directory/guest"
  else
    cat "$logs"/snapshot-*.log
  fi
}
