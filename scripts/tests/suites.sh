# shellcheck shell=bash
# shellcheck disable=SC2154 # here, logs: set by scripts/test and report.sh
# Steps of scripts/test: the Swift Testing suites. Sourced, never run.

# Test modules worth a second run on the stock KVM of the rig, and those of them that meet another kernel
# there. A damaged machine is refused by this program, and a kernel's way to refuse one is seen once; so are moves,
# saved memory, hints, growth and keys, which ask of the kernel what tracking and devices ask.
rig_filter='^(KVMTests|VMMTests|GuestMemoryTests|HostPagesTests)\.'
new_rig_filter='^(KVMTests|VMMTests|HostPagesTests)\.'

# Tests that need /dev/kvm skip themselves where it is missing.
run_suites_here() {
  local status=0
  # 100 000 without: see docs/memory-ordering.md.
  local -x STORM_CALLS=10000
  # Side by side the tests that wait for a thread of their own do it by spinning: twice the CPU time.
  logged suites-here timeout --kill-after=10 1800 swift test --skip-build --no-parallel \
    --event-stream-output-path "$logs/events/here.json" --event-stream-version 0 || status=$?
  count_tests here "$status"
}

run_suites_in_rig() {
  suites_in_rig 6.12 "$rig_filter" 250
}

run_suites_in_new_rig() {
  suites_in_rig 7.3 "$new_rig_filter" 100 --skip '^VMMTests\.(DamagedMachine|Migration|SavedZero|MemoryHint|MemoryGrowth|TrimAtAnswer|KeyToScreen)Tests'
}

# suites_in_rig SERIES FILTER STORM_CALLS [OPTION...]: with this kernel as the host. Left out is what has a boot of its own,
# and what is work for the processor alone, or for several of them, as twenty moves of memory are. A storm's call of 0x8002 takes 11 ms
# there.
suites_in_rig() {
  local name=rig-$1 status=0 series=$1 filter=$2 storm_calls=$3
  shift 3
  local -a bundles=("$(swift build --show-bin-path)"/*PackageTests.xctest)
  rm -rf "${logs:?}/$name"
  logged "suites-in-$name" "$here/rig" --kernel "$series" --timeout 1800 --hugepages 64 \
    --out "$logs/$name" --env "STORM_CALLS=$storm_calls" -- \
    "${bundles[0]}" --testing-library swift-testing --no-parallel --filter "$filter" "$@" \
    --skip '^VMMTests\.TrackingMatrixTests' --skip '^GuestMemoryTests\.FileTransferTests' \
    --skip '^GuestMemoryTests\.PopulationSourceTests/aPageThatIsFilledMeanwhile' \
    --skip '^GuestMemoryTests\.PopulationSourceTests/hostilePatterns' \
    --skip '^GuestMemoryTests\.WriterGateTests/neverBothInside' \
    --skip '^GuestMemoryTests\.VerifyTests/theLowestPageWithAByteIsFound' \
    --skip '^GuestMemoryTests\.HugePageTrimmerTests/theEmptiestComesFirst' \
    --skip '^VMMTests\.TrimStormTests/whoReadsAndThenDiscardsIsFound' \
    --skip '^VMMTests\.(BzImage|PVHImage)Tests/randomDamage' \
    --skip '^VMMTests\.MigrationTests/(movesTwentyTimes|aBrokenConnectionLeavesOneMachine)' \
    --event-stream-output-path /out/events.json --event-stream-version 0 || status=$?
  if [[ -e $logs/$name/events.json ]]; then
    cp "$logs/$name/events.json" "$logs/events/$name.json"
  fi
  count_tests "$name" "$status"
}

# The tracking matrix needs swap and huge pages: a boot of its own. docs/tracking.md has it in full
# (scripts/tracking-matrix); here runs the default granularity, in every second machine.
run_matrix() {
  local status=0
  logged matrix-in-rig run_matrix_in_rig 1800 "$logs/matrix" 64K 2 || status=$?
  if [[ -e $logs/matrix/events.json ]]; then
    cp "$logs/matrix/events.json" "$logs/events/matrix.json"
  fi
  count_tests matrix "$status"
}

# A stock Linux in a boot of its own: nothing else of the suites runs beside it.
run_linux_suites() {
  local status=0 kernel
  local -a bundles=("$(swift build --show-bin-path)"/*PackageTests.xctest)
  get_kernel 6.12 || return 1
  make_tiny_initramfs "$logs/tiny-initramfs.gz" || return 1
  rm -rf "$logs/linux-suites"
  logged suites-linux-in-rig "$here/rig" --timeout 600 --cpus 1 --out "$logs/linux-suites" \
    --file "$kernel/vmlinuz:/linux/vmlinuz" --file "$logs/tiny-initramfs.gz:/linux/initramfs.gz" \
    --env LINUX_KERNEL=/linux/vmlinuz --env LINUX_INITRD=/linux/initramfs.gz -- \
    "${bundles[0]}" --testing-library swift-testing \
    --filter '^VMMTests\.(LinuxTruthTests|RealKernelTests)/' \
    --event-stream-output-path /out/events.json --event-stream-version 0 || status=$?
  if [[ -e $logs/linux-suites/events.json ]]; then
    cp "$logs/linux-suites/events.json" "$logs/events/linux-suites.json"
  fi
  count_tests linux-suites "$status"
}
