# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # guests is for guests.sh; here, logs, failed, vmm_run: set by scripts/test, report.sh, demo.sh
# Step of scripts/test: disks and clock as nvme-cli, lspci, hwclock and rtcwake see them, and what the host gets
# back of memory by a balloon, with Linux guests in the rig. Sourced, never run.
#
# What runs is in devices-in-rig.sh, what the guests do in devices-init.sh, what must come of it here.

devices_series=(6.12 7.3)
# One guest uses its balloon: it takes seconds.
balloon_series=6.12

# make_device_guests DIRECTORY: what is taken along into the rig.
make_device_guests() {
  local directory=$1 kernel series tree=$1/tree program
  rm -rf "$directory"
  mkdir -p "$tree"/{bin,dev,etc,lib,lib64,proc,sbin,sys,tmp,usr/lib}
  cp /bin/busybox "$tree/bin/"
  for program in nvme:/usr/sbin/nvme lspci:/usr/bin/lspci hwclock:/sbin/hwclock \
    rtcwake:/usr/sbin/rtcwake; do
    take_program "$tree" "${program#*:}"
    # Before busybox's own, which have some of the names.
    [[ -e $tree/sbin/${program%%:*} ]] || ln -s "${program#*:}" "$tree/sbin/${program%%:*}"
  done
  install_init "$tree" "$here/tests/devices-init.sh"
  for series in "${devices_series[@]}"; do
    get_kernel "$series" || return 1
    mkdir -p "$directory/guest/$series"
    rm -rf "$tree/modules"
    if [[ $series == "$balloon_series" ]]; then
      get_kernel "$series" virtio_balloon || return 1
      add_modules "$tree" "$kernel" balloon virtio_balloon || return 1
    fi
    pack_initramfs "$tree" | gzip -1 >"$directory/guest/$series/initrd" || return 1
    cp "$kernel/vmlinuz" "$directory/guest/$series/"
  done
}

# check_seen GUEST PATTERN: one of its lines is that, as an extended regular expression.
check_seen() {
  if grep -qxE "@ $2" "$out/$1.told"; then
    pass_check "$guests, $1: $2"
  else
    fail_check "$guests, $1: no '$2' in: $(grep -E "^@ ${2%% *}" "$out/$1.told" | tr '\n' ';')"
  fi
}

check_devices() {
  local guest=$1 line
  check_status "$guest" 0
  if ! grep -q '^@ kernel' "$out/$guest.told"; then
    fail_check "$guests, $guest: it did not start: $(tail -n 1 "$out/$guest.stderr")"
    return
  fi
  # NGUIDs follow the serial numbers; Linux does not call them bogus.
  check_seen "$guest" 'disk alpha eui\.[0-9a-f]{32} 512 32768'
  check_seen "$guest" 'disk beta eui\.[0-9a-f]{32} 4096 32768'
  check_equal "$guest: what Linux has to say of the disks" \
    "$(grep -E '^@ (nvme|trouble) ' "$out/$guest.told")" ''
  for line in 'id-ctrl vid +: 0x564d' 'id-ctrl sn +: alpha *' 'id-ctrl lpa +: 0x6' \
    'id-ctrl elpe +: 63' 'id-ns eui64 +: 0{16}' 'effects ACS2 .*' 'errors counted 1' \
    'error-log sqid[[:space:]]+: 0' 'error-log status_field.*(INVALID_OPCODE|Invalid Command Opcode).*' \
    'power cycles 1' 'units read 1[67]' 'lspci .*Express \(v2\) Root Complex Integrated Endpoint.*' \
    'lspci .*FLReset\+.*' 'lspci .*Power Management version 3' 'lspci .*MSI-X: Enable\+.*' \
    'reset methods flr.*' 'function reset 3' 'same contents after function resets' \
    'hwclock -r: status 0, 0 failures' 'hwclock -w: status 0, 0 failures' 'busybox hwclock: works' \
    'rtcwake on: status 0' 'waited 1' 'rtcwake freeze: (status 0|this kernel does not sleep)' \
    'clock interrupts ([2-9]|[1-9][0-9]+)' 'hwclock --set: status 0' reboot \
    'clock 2031-02-03 .*' 'errors kept 1' poweroff; do
    check_seen "$guest" "$line"
  done
}

# check_memory GUEST: its balloon works, and what it no longer used was the host's again.
check_memory() {
  local guest=$1 line
  for line in 'balloon pages 32768' 'balloon features 011001' 'balloon gave 1'; do
    check_seen "$guest" "$line"
  done
  check_given_back "$guest" 240
  check_equal "$guest: the report's line of the balloon" "$(grep -cE \
    '^  balloon 128 MiB of 128 MiB, [0-9.]+ MiB given back, .* MiB free in the guest, .*' "$out/$guest.stderr")" 1
  check_equal "$guest: what Linux has to say of the balloon" \
    "$(grep -iE '^@ warning .*(balloon|virtio)' "$out/$guest.told")" ''
}

# check_control GUEST: what its run told and counted meanwhile, over its control socket.
check_control() {
  local guest=$1 line
  check_equal "$guest: what happened, in its order" \
    "$(sed -nE 's/.*"event":"([^"]*)".*/\1/p' "$out/$guest.events" | grep -vE '^(subscribed|lost)$' | uniq |
      tail -n 4 | tr '\n' ' ')" 'balloon-reached reset booted shutdown '
  check_equal "$guest: the balloon as it was told" \
    "$(grep -c '"event":"balloon-reached","properties":{"actual_bytes":134217728}' "$out/$guest.events")" 1
  for line in 'vmm_memory_bytes{class="ram"} 805306368' 'vmm_memory_bytes{class="ballooned"} 134217728' \
    'vmm_balloon_target_bytes 134217728' 'vmm_paused 0'; do
    check_equal "$guest: $line" "$(grep -cxF "$line" "$out/$guest.metrics")" 1
  done
}

run_devices_in_rig() {
  local rig_status=0 guests=Devices out=$logs/devices/out before=$failed console series
  make_device_guests "$logs/devices" || return 1
  logged devices-in-rig "$here/rig" --timeout 900 --cpus 1 --out "$out" \
    --file "$vmm_run:/usr/bin/vmm-run" --file "$logs/devices/guest:/guest" \
    --script "$here/tests/devices-in-rig.sh" -- "${devices_series[@]}" || rig_status=$?
  if [[ $rig_status -ne 0 ]]; then
    fail_check "Devices of Linux guests in the rig: exit status $rig_status"
  fi
  for series in "${devices_series[@]}"; do
    console=$out/devices-$series.console
    tr -d '\r' <"$console" | grep '^@ ' >"${console%.console}.told"
    check_devices "devices-$series"
  done
  check_memory "devices-$balloon_series"
  check_control "devices-$balloon_series"
  if [[ $failed -eq $before ]]; then
    rm -rf "$logs/devices/guest" "$logs/devices/tree"
  else
    cat "$logs/devices-in-rig.log"
  fi
}
