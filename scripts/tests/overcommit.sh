# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # guests is for guests.sh; here, logs, failed, vmm_run: set by scripts/test, report.sh, demo.sh
# Step of scripts/test: two Linux guests that have half as much memory again as the host gives them, and take turns with it.
# Sourced, never run; needs vmbus.sh.
#
# What a guest no longer uses goes back (0x8003), and the other has it. With the same limit and without that call one of them
# is killed. What runs is in overcommit-in-rig.sh, what the guests do in overcommit-init.sh, what must come of it here.

# MiB of each, of both together at most, and of what each uses when it is its turn.
overcommit_memory=512 overcommit_limit=682 overcommit_use=300

# overcommit_event MODE NAME: how often that happened at the limit.
overcommit_event() { sed -n "s/^$2 //p" "$out/overcommit-$1.limit"; }

check_overcommit() {
  local turn peak number
  check_status overcommit-discard '0 0'
  check_equal 'with hints: guests that the host has killed' "$(overcommit_event discard oom_kill)" 0
  for turn in 1 2 3; do
    check_equal "with hints, turn $turn: memory was used and freed" \
      "$(cat "$out"/overcommit-discard-?.console | tr -d '\r' | grep -cE "^@ done (use $overcommit_use|free) $turn\$")" 2
  done
  for number in 1 2; do
    tr -d '\r' <"$out/overcommit-discard-$number.console" | grep -a '^@ ' >"$out/overcommit-discard-$number.told"
    check_messages "overcommit-discard-$number"
  done
  (cd "$out" && awk -v limit=$overcommit_limit -f "$here/lib/overcommit-picture.awk" \
    overcommit-none.resident overcommit-discard.resident >overcommit.svg)
  peak=$(tail -n 1 "$out/overcommit-discard.limit")
  printf 'two guests of %d MiB, %d MiB used by turns: %d MiB in use at most, of %d\n' \
    $overcommit_memory $overcommit_use $((peak >> 20)) $overcommit_limit
  # Or the limit says nothing.
  if [[ $(overcommit_event none oom_kill) -gt 0 ]]; then
    pass_check "$guests, without hints: one guest is killed"
  else
    fail_check "$guests, without hints: no guest is killed"
  fi
}

run_overcommit_in_rig() {
  local rig_status=0 guests='Overcommitted Linux guests' directory=$logs/overcommit out=$logs/overcommit/out before=$failed
  rm -rf "$directory"
  make_vmbus_guest "$directory/guest" 6.12 overcommit-init.sh || return 1
  logged overcommit-in-rig "$here/rig" --timeout 1000 --cpus 1 --out "$out" \
    --file "$vmm_run:/usr/bin/vmm-run" --file "$directory/guest:/guest" \
    --file "$here/tests/balloons-in-rig.sh:/balloons-in-rig.sh" --script "$here/tests/overcommit-in-rig.sh" -- \
    $overcommit_memory $overcommit_limit $overcommit_use discard none || rig_status=$?
  if [[ $rig_status -ne 0 ]]; then fail_check "$guests in the rig: exit status $rig_status"; fi
  check_overcommit
  if [[ $failed -eq $before ]]; then
    rm -rf "$directory/guest"
  else
    cat "$logs/overcommit-in-rig.log"
  fi
}
