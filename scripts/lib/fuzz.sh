# shellcheck shell=bash
# Building and running the fuzz targets. Sourced by scripts/fuzz and scripts/test, never run.

fuzz_scratch=.build-fuzz
fuzz_binary=$fuzz_scratch/release/fuzz
fuzz_logs=$fuzz_scratch/logs
fuzz_crashes=$fuzz_scratch/crashes

# Release, so with the traps that users have. `-enable-testing` opens what is internal. gold, which Swift
# links with by default, fails on libFuzzer; lld comes with the toolchain.
build_fuzz() {
  swift build -c release --package-path Fuzz --scratch-path "$fuzz_scratch" --product fuzz \
    -Xswiftc -sanitize=fuzzer,address -Xswiftc -enable-testing -Xswiftc -use-ld=lld
}

fuzz_targets() {
  "$fuzz_binary" --list
}

# fuzz_process TARGET ARGUMENT...: one target's process, its output in a log. The sanitizer keeps little
# freed memory and no allocation's stack, for speed; Swift's own backtraces fight with it for signals.
fuzz_process() {
  local target=$1
  shift
  mkdir -p "$fuzz_logs" "$fuzz_crashes"
  local log=$fuzz_logs/$target.log status=0
  ASAN_OPTIONS=quarantine_size_mb=8:thread_local_quarantine_size_kb=64:malloc_context_size=0 \
    SWIFT_BACKTRACE=enable=no \
    "$fuzz_binary" "--target=$target" "-artifact_prefix=$fuzz_crashes/$target-" \
    -print_final_stats=1 "$@" >"$log" 2>&1 </dev/null || status=$?
  if [[ $status -ne 0 ]]; then
    printf 'FAILED: %s: exit status %d\n' "$target" "$status"
    grep -aE 'Fatal error|ERROR: |Test unit written' "$log" || tail -n 20 "$log"
  fi
  return "$status"
}

# replay_fuzz TARGET: every input of the committed corpus once.
replay_fuzz() {
  fuzz_process "$1" -runs=0 "Fuzz/Corpus/$1"
}

# run_fuzz_target TARGET LIMIT...: what is new goes to the work corpus.
run_fuzz_target() {
  local target=$1 work=$fuzz_scratch/work/$1
  shift
  mkdir -p "$work"
  fuzz_process "$target" "$@" "$work" "Fuzz/Corpus/$target"
}

# minimize_fuzz TARGET: the committed corpus becomes what libFuzzer keeps of the work corpus, at most 60
# files of at most 4 KiB.
minimize_fuzz() {
  local target=$1 merged
  merged=$(mktemp -d)
  fuzz_process "$target-merge" -merge=1 "$merged" "$fuzz_scratch/work/$target" \
    "Fuzz/Corpus/$target" "--target=$target" || true
  rm -rf "Fuzz/Corpus/$target"
  mkdir -p "Fuzz/Corpus/$target"
  find "$merged" -type f -size -5 | sort | head -n 60 |
    xargs -r -I '{}' cp '{}' "Fuzz/Corpus/$target/"
  rm -rf "$merged"
}

# fuzz_row TARGET: its last run as a row of the table.
fuzz_row() {
  local log=$fuzz_logs/$1.log
  awk -v target="$1" -v crashes="$(find "$fuzz_crashes" -name "$1-*" | wc -l)" '
    match($0, /cov: [0-9]+/) { edges = substr($0, RSTART + 5, RLENGTH - 5) }
    /^stat::number_of_executed_units:/ { executions = $2 }
    /^Done [0-9]+ runs in/ { seconds = $5 }
    END { printf "%-16s %12d %7d %8d %8d\n", target, executions, edges, seconds, crashes }
  ' "$log"
}
