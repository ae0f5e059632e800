# shellcheck shell=bash
# shellcheck disable=SC2154 # logs: set by report.sh
# Step of scripts/test: the suites of the pure modules, guest memory and the devices, built with the
# address and with the thread sanitizer. Sourced, never run.
#
# The builds take a CPU for minutes, and a rig has one: both begin before the rigs and are waited for
# after them.

# Suites of each sanitizer. Without KVM, so that no memory is written behind a sanitizer's back; the
# thread sanitizer sees those that have threads.
address_suites='^(ACPITests|DevicesTests|GuestMemoryTests|HyperVCoreTests|SMBIOSTests|ZeroTrackerTests)\.'
thread_suites='^(DevicesTests|GuestMemoryTests|ZeroTrackerTests)\.'

# start_sanitizers: in the background; `finish_sanitizers` counts.
start_sanitizers() {
  (
    run_sanitizer address "$address_suites"
    run_sanitizer thread "$thread_suites"
  ) >"$logs/sanitizers.log" 2>&1 </dev/null &
  sanitizers=$!
}

# run_sanitizer NAME FILTER: leaves the exit status in NAME-sanitizer.status.
run_sanitizer() {
  local scratch=.build-$1 status=0
  local -a bundles
  rm -f "$logs/$1-sanitizer.status"
  if swift build --build-tests "--sanitize=$1" --scratch-path "$scratch"; then
    bundles=("$(swift build --show-bin-path --scratch-path "$scratch")"/*PackageTests.xctest)
    # The test library itself leaks. A reported race ends the run at once.
    ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS=halt_on_error=1 \
      "${bundles[0]}" --testing-library swift-testing --filter "$2" \
      --event-stream-output-path "$logs/events/$1-sanitizer.json" --event-stream-version 0 ||
      status=$?
  else
    status=1
  fi
  echo "$status" >"$logs/$1-sanitizer.status"
}

finish_sanitizers() {
  local name status
  wait "$sanitizers" || true
  for name in address thread; do
    status=$(cat "$logs/$name-sanitizer.status" 2>/dev/null || echo 1)
    if [[ $status -ne 0 ]]; then
      grep -E -A 40 'ERROR: |WARNING: ThreadSanitizer|error:' "$logs/sanitizers.log" | head -n 80
    fi
    count_tests "$name-sanitizer" "$status" || true
  done
}
