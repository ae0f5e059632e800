# shellcheck shell=bash
# shellcheck disable=SC2154 # logs: set by report.sh; lean_build: by builds.sh
# Steps of scripts/test: suites without KVM, built with the address and with the thread sanitizer. Sourced, never run.

# Suites of each sanitizer. Without KVM, so that no memory is written behind a sanitizer's back. The address
# sanitizer sees the modules with most of the pointers; devices, hypercalls and the tracker run with it
# in the fuzz targets. The thread sanitizer sees those that have threads.
# All that make sense: ADDRESS_SUITES=BytesTests,DevicesTests,GuestMemoryTests,HostSystemTests,HyperVCoreTests,...
address_suites=${ADDRESS_SUITES:-GuestMemoryTests,HostSystemTests,RemoteFramebufferTests}
thread_suites=DevicesTests,GuestMemoryTests,HostSystemTests,RemoteFramebufferTests,ZeroTrackerTests

# Suites of one thread with most of the work. Of those that have no pointers, and of the longest whose pointers others
# have too, the address sanitizer sees nothing new.
one_thread='^(RemoteFramebufferTests\.(EncodingTests|ScrollTests)/'
one_thread+='|ZeroTrackerTests\.(ModelTests|HostilePatternTests|RefineTests)/'
one_thread+='|DevicesTests\.(ReportPortTests|HostileAccessTests)/|GuestMemoryTests\.FileTransferTests/'
one_thread+='|DevicesTests\.(\w+StateTests/damage|PortBusTests/(?!noCountIsLostBetweenThreads)))'
nothing_new='^(RemoteFramebufferTests\.(EncodingTests|ScrollTests|TileSetTests)/'
nothing_new+='|GuestMemoryTests\.PopulationSourceTests/aPageThatIsFilledMeanwhile'
nothing_new+='|GuestMemoryTests\.HugePageTrimmerTests/theEmptiestComesFirst'
nothing_new+='|GuestMemoryTests\.FileTransferTests/scatteredBytesAreReadInPlace'
nothing_new+='|DevicesTests\.(E1000E|Virtio|VirtioNet)StateTests/damage)'

run_address_sanitizer() {
  run_sanitizer address "$address_suites" --skip "$nothing_new"
}

run_thread_sanitizer() {
  run_sanitizer thread "$thread_suites" --skip "$one_thread"
}

# run_sanitizer NAME SUITES [OPTION...]: builds and runs these suites.
run_sanitizer() {
  local name=$1 suites=$2 scratch=.build-$1 status=0 bundles
  shift 2
  # See Package.swift. In this process alone, which ends with the step.
  export VMM_RUN_SUITES=$suites
  logged "$name-build" swift build --jobs 1 --build-tests "--sanitize=$name" \
    "${lean_build[@]}" --scratch-path "$scratch" || return 1
  bundles=("$(swift build --show-bin-path --scratch-path "$scratch")"/*PackageTests.xctest)
  # The test library itself leaks. A reported race ends the run at once. One test after the other, as in
  # `run_suites_here`.
  ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS=halt_on_error=1 \
    timeout --kill-after=10 1500 "${bundles[0]}" --testing-library swift-testing --no-parallel --filter "^(${suites//,/|})\\." "$@" \
    --event-stream-output-path "$logs/events/$name-sanitizer.json" --event-stream-version 0 \
    >"$logs/$name-sanitizer.log" 2>&1 </dev/null || status=$?
  if [[ $status -ne 0 ]]; then
    grep -E -A 40 'ERROR: |WARNING: ThreadSanitizer|error:' "$logs/$name-sanitizer.log" | head -n 80
  fi
  count_tests "$name-sanitizer" "$status"
}
