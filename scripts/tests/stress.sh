# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # guests is for guests.sh; here, logs, failed, vmm_run: set by scripts/test, report.sh, demo.sh
# Steps of scripts/test: a guest that does at once what asks most of the sandbox, on both KVMs, with the
# debug build, which is dynamic, and the static one. Sourced, never run.
#
# What runs is in stress-guests.sh; the guest is Tests/StressGuest.

# shellcheck source=scripts/lib/stress-guest.sh
source "$here/lib/stress-guest.sh"

stress_lives=3
stress_rounds_here=150
stress_rounds_in_rig=30

# check_stress ROUNDS: each build's run came to its end, with all that it was to do.
check_stress() {
  local build
  for build in debug static; do
    check_status "$build" 0
    check_equal "$build: errors" "$(grep -v '^vmm-run: reported as zero' "$out/$build.stderr")" ''
    check_equal "$build: last line" "$(tail -n 1 "$out/$build.console")" 'stress: done'
    check_equal "$build: lives of $1 rounds" \
      "$(grep -c "^stress: life [0-9]*: $1 rounds," "$out/$build.console")" "$stress_lives"
    grep '^stress: life' "$out/$build.console" || true
  done
}

run_stress_here() {
  local guests='Stress guest here' out=$logs/stress-here
  if [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
    skip_check "$guests" 'needs read-write /dev/kvm'
    return 0
  fi
  rm -rf "$out"
  mkdir -p "$out"
  make_stress_guest "$out/guest" || return 1
  sh "$here/tests/stress-guests.sh" "$out" "$out/guest" "$stress_rounds_here" "$stress_lives" \
    "debug=$(swift build --show-bin-path)/vmm-run" "static=$vmm_run"
  check_stress "$stress_rounds_here"
}

run_stress_in_rig() {
  local guests='Stress guest in the rig' out=$logs/stress-rig/out before=$failed rig_status=0 debug
  rm -rf "$logs/stress-rig"
  mkdir -p "$logs/stress-rig"
  make_stress_guest "$logs/stress-rig/guest" || return 1
  debug=$(swift build --show-bin-path)/vmm-run
  logged stress-in-rig "$here/rig" --timeout 1800 --out "$out" \
    --file "$debug" --file "$vmm_run" --file "$logs/stress-rig/guest:/guest" \
    --script "$here/tests/stress-guests.sh" -- \
    /out /guest "$stress_rounds_in_rig" "$stress_lives" "debug=$debug" "static=$vmm_run" ||
    rig_status=$?
  if [[ $rig_status -ne 0 ]]; then
    fail_check "$guests: exit status $rig_status"
  fi
  check_stress "$stress_rounds_in_rig"
  if [[ $failed -ne $before ]]; then
    cat "$logs/stress-in-rig.log"
  fi
}
