# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # guests is for guests.sh; here, logs, failed, vmm_run: set by scripts/test, report.sh, demo.sh
# Step of scripts/test: what Linux guests find of the Hyper-V interface, and their last words. Sourced,
# never run; needs linux.sh and linux-messages.sh. What runs is in linux-features-in-rig.sh.

# check_features GUEST SERIES: it came up with everything on, and nothing of it made Linux complain.
check_features() {
  check_status "$1" 0
  check_equal "$1: kernel" "$(sed -n "s/^@ kernel \($2\)\..*/\1/p" "$out/$1.told")" "$2"
  check_told "$1" 'hypervisor Microsoft Hyper-V'
  check_told "$1" 'clock source hyperv_clocksource_tsc_page'
  check_told "$1" 'clock event device Hyper-V clockevent'
  check_told "$1" poweroff
  check_messages "$1"
}

# check_crash GUEST SERIES: its last words are on its console, and in our messages.
check_crash() {
  check_status "$1" 1
  check_equal "$1: the end of the panic on the console" \
    "$(tr -d '\r' <"$out/$1.console" | grep -c 'end Kernel panic - not syncing: sysrq')" 1
  check_equal "$1: who crashed" \
    "$(grep -cE "^vmm-run: the guest reported its crash: Linux $2\.[0-9]+, on vCPU [01]\$" \
      "$out/$1.stderr")" 1
  check_equal "$1: why, by the crash message" \
    "$(grep -cE '^vmm-run: \| .*Kernel panic - not syncing: sysrq triggered crash' \
      "$out/$1.stderr")" 1
}

# check_evidence: the registers are those that Linux's hv_init and its clocks write, of both vCPUs.
check_evidence() {
  local run=$out/evidence/run-1 msr
  # Bit 63 for an open source system, then 1 for Linux (TLFS, HV_X64_MSR_GUEST_OS_ID).
  check_equal 'evidence: the guest is a Linux' \
    "$(jq -r 'select(.msr | startswith("HV_X64_MSR_GUEST_OS_ID ")) | .value[0:6]' "$run/registers.jsonl" | uniq)" \
    0x8100
  for msr in HYPERCALL REFERENCE_TSC; do
    check_equal "evidence: $msr is on" "$(jq -r --arg msr "HV_X64_MSR_$msr " \
      'select(.msr | startswith($msr)) | .value[-1:]' "$run/registers.jsonl" | tail -n 1)" 1
  done
  check_equal 'evidence: vCPUs with interrupts of their own' \
    "$(jq -r 'select(.msr | startswith("HV_X64_MSR_SCONTROL ")) | select(.value == "0x1") | .vcpu' \
      "$run/registers.jsonl" | sort -u | tr '\n' ' ')" '0 1 '
  check_equal 'evidence: its end' "$(jq -r .outcome "$run/outcome.json")" \
    'the guest switched the machine off'
  check_equal 'evidence: samples of two vCPUs at work' \
    "$(jq -s 'map(select((.vcpu_ticks | length) == 2 and .memory.populated_bytes > 0)) | length > 0' \
      "$run/samples.jsonl")" true
  "$vmm_run" evidence "$out/evidence" --output "$out/evidence.tar.gz" >"$out/evidence.text" 2>&1 || true
  check_equal 'evidence: what is packed' "$(tar -tzf "$out/evidence.tar.gz" | sort | tr '\n' ' ')" \
    "$(cd "$out/evidence" && printf '%s ' run-1/*)"
}

run_features_in_rig() {
  local rig_status=0 guests=Linux out=$logs/features/out before=$failed console series
  make_guests "$logs/features" || return 1
  rm -rf "$out/evidence" "$out/evidence.tar.gz"
  logged features-in-rig "$here/rig" --timeout 1500 --cpus 1 --out "$out" \
    --file "$vmm_run:/usr/bin/vmm-run" --file "$logs/features/guest:/guest" \
    --script "$here/tests/linux-features-in-rig.sh" || rig_status=$?
  if [[ $rig_status -ne 0 ]]; then
    fail_check "Linux and Hyper-V features in the rig: exit status $rig_status"
  fi
  for console in "$out"/*.console; do
    tr -d '\r' <"$console" | grep '^@ ' >"${console%.console}.told"
  done

  for series in "${guest_series[@]}"; do
    check_features "all-$series" "$series"
    check_told "all-$series" 'version 10.0.20348.1-2-3'
    check_told "all-$series" 'Nested features: 0xa0000'
    check_told "all-$series" 'virtualisation svm'
  done
  check_features default 7.3
  check_told default 'virtualisation '
  check_equal 'default: nested features' "$(grep -c 'Nested features' "$out/default.told")" 0
  check_evidence
  check_status paravirt 0
  check_told paravirt 'hypervisor KVM'
  check_told paravirt 'clock source kvm-clock'
  check_told paravirt poweroff
  check_messages paravirt
  check_crash crash-6.1 6.1
  check_crash crash-7.3 7.3
  check_status idle 143
  check_equal 'idle: a vCPU that waits, by SIGUSR1' \
    "$(grep -qE '^ +0  halted +0xffffffff[0-9a-f]{8} ' "$out/idle.stderr"; echo $?)" 0
  check_equal 'idle: a disk, by SIGUSR1' "$(grep -c '^  disk0  ready$' "$out/idle.stderr")" 1
  check_equal 'idle: its queue, by SIGUSR1' "$(grep -c '^ *1 more idle$' "$out/idle.stderr")" 1

  if [[ $failed -eq $before ]]; then
    rm -rf "$logs/features/guest" "$logs/features/files"
  else
    cat "$logs/features-in-rig.log"
  fi
}
