# shellcheck shell=bash
# What is measured on this machine with whole processes. Sourced by scripts/bench.

# build_benchmarks WORK-DIRECTORY: vmm-run and measure, static, in the work directory.
build_benchmarks() {
  # Two packages in one place: without a plan of its own the second may be built by the first one's, tests and all.
  local -a options=(-c release -Xswiftc -static-executable --scratch-path .build-static --disable-build-manifest-caching)
  {
    swift build "${options[@]}" --product vmm-run && swift build "${options[@]}" --package-path Benchmarks
  } >"$1/build.log" 2>&1 || { cat "$1/build.log" >&2 && return 1; }
  cp .build-static/release/{vmm-run,measure} "$1"
}

# bench_startup WORK-DIRECTORY REPETITIONS: from exec to the end of a guest of one instruction.
bench_startup() {
  local work=$1 floor
  cc -O2 -Wall -static -o "$work/floor" Benchmarks/floors/startup.c
  cc -O2 -Wall -o "$work/compare" Benchmarks/programs/compare.c
  # xor eax,eax; out 0xF4,al
  printf '\x31\xc0\xe6\xf4' >"$work/smallest.bin"
  # The same at the reset vector of a 64 KiB ROM.
  head -c 65520 /dev/zero >"$work/reset.bin"
  printf '\x31\xc0\xe6\xf4\xf4' >>"$work/reset.bin"
  truncate -s 64K "$work/reset.bin"
  local -a qemu=()
  if command -v qemu-system-x86_64 >/dev/null; then
    # shellcheck disable=SC2054 # commas within one option
    # The exit device makes status 1 of 0. Without arch-capabilities: a KVM may list the MSR and refuse it.
    qemu=(-- QEMU=1 qemu-system-x86_64 -M "microvm,rtc=off,pic=off,pit=off,isa-serial=off"
      -accel kvm -cpu host,-arch-capabilities -m 64 -nodefaults -no-user-config -no-reboot
      -display none -bios "$work/reset.bin" -device 'isa-debug-exit,iobase=0xf4,iosize=1')
  fi
  printf '== Start-up: exec to exit, the smallest guest\n'
  for floor in cpuid bare; do
    (cd "$work" && ./compare times start-up "$2" "plain C, $floor" ./floor "$floor" \
      -- "vmm-run over $floor" ./vmm-run run --program smallest.bin \
      -- "vmm-run over $floor, --sandbox off" ./vmm-run run --sandbox off --program smallest.bin \
      "${qemu[@]}")
    qemu=()
  done
}

# bench_demo WORK-DIRECTORY GIB...: what the guest saves, as `vmm-run demo --compare` tells it. With
# huge pages also what trimming at the answer does to memory and time.
bench_demo() {
  local work=$1 size variant name options available
  shift
  printf '== What the guest saves: demo --compare\n'
  for size in "$@"; do
    for variant in 'anonymous:' 'anonymous, preallocated:--prealloc' 'memfd:--backing memfd' \
      'memfd, preallocated:--backing memfd --prealloc' 'huge pages:--thp' \
      'huge pages, trimmed:--thp --trim-at-answer'; do
      name=${variant%%:*} options=${variant#*:}
      available=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)
      if ((available < (size + 3) << 20)); then
        printf '%s GiB, %s: skipped, %s MiB of host memory are available\n' \
          "$size" "$name" "$((available >> 10))"
        continue
      fi
      # shellcheck disable=SC2086 # words
      "$work/vmm-run" demo --compare --json --memory "${size}G" $options \
        >"$work/demo.json" 2>"$work/demo.log" || { cat "$work/demo.log" >&2 && return 1; }
      jq --raw-output --compact-output --arg name "$size GiB, $name" \
        --from-file scripts/lib/bench-demo.jq "$work/demo.json" |
        tee -a "$BENCH_FIGURES" |
        jq --raw-output '"\(.name): \(.median) \(.unit), without 0x8002 \(.floorMedian), "
          + "ratio \(.ratio // 0 | . * 100 | round / 100)"'
    done
  done
}
