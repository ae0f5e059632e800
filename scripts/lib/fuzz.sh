# shellcheck shell=bash
# Building and running the fuzz targets. Sourced by scripts/fuzz and scripts/test, never run.

fuzz_scratch=.build-fuzz
fuzz_binary=$fuzz_scratch/release/fuzz
fuzz_logs=$fuzz_scratch/logs
fuzz_crashes=$fuzz_scratch/crashes
# What a committed corpus has at most.
fuzz_corpus_file_count=60
fuzz_corpus_file_byte_count=2048

# Release, so with the traps that users have. `-enable-testing` opens what is internal. gold, which Swift
# links with by default, fails on libFuzzer; lld comes with the toolchain.
# One job: scripts/test runs it beside others.
build_fuzz() {
  swift build --jobs 1 -c release --package-path Fuzz --scratch-path "$fuzz_scratch" --product fuzz \
    -Xswiftc -sanitize=fuzzer,address -Xswiftc -enable-testing -Xswiftc -use-ld=lld
}

fuzz_targets() {
  "$fuzz_binary" --list
}

# fuzz_process TARGET ARGUMENT...: one target's process, its output in the log $fuzz_log, if set, or
# TARGET. The sanitizer keeps little freed memory and no allocation's stack, for speed; Swift's own
# backtraces do not go with it.
fuzz_process() {
  local target=$1 status=0
  local log=$fuzz_logs/${fuzz_log:-$target}.log
  shift
  mkdir -p "$fuzz_logs" "$fuzz_crashes"
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

# replay_fuzz_sandboxed TARGET DIRECTORY...: every input once, under the filter of the thread that runs such
# code in the program.
replay_fuzz_sandboxed() {
  local target=$1
  shift
  fuzz_log=$target-sandboxed fuzz_process "$target" "${@/#/--sandboxed=}"
}

# run_fuzz_target TARGET ARGUMENT...: what is new goes to the work corpus.
run_fuzz_target() {
  local target=$1 work=$fuzz_scratch/work/$1
  shift
  mkdir -p "$work" "Fuzz/Corpus/$target"
  fuzz_process "$target" "$@" "$work" "Fuzz/Corpus/$target"
}

# minimize_fuzz TARGET: the committed corpus becomes the few inputs that together reach the edges that it
# and the work corpus reach.
minimize_fuzz() {
  local target=$1 status=0 merged
  merged=$(mktemp -d)
  mkdir -p "$fuzz_scratch/work/$target" "Fuzz/Corpus/$target"
  fuzz_process "$target" -set_cover_merge=1 -use_counters=0 \
    "-max_len=$fuzz_corpus_file_byte_count" "$merged" "$fuzz_scratch/work/$target" \
    "Fuzz/Corpus/$target" || status=$?
  if [[ $status -eq 0 ]]; then
    rm -rf "Fuzz/Corpus/$target"
    mkdir "Fuzz/Corpus/$target"
    # The longest, if there are too many: they reach most.
    find "$merged" -type f -printf '%s %f\n' | sort -rn | cut -d ' ' -f 2 |
      head -n "$fuzz_corpus_file_count" |
      xargs -r -I '{}' cp "$merged/{}" "Fuzz/Corpus/$target/"
  fi
  rm -rf "$merged"
  return "$status"
}

# fuzz_count TARGET executions | edges | seconds: of its last run.
fuzz_count() {
  awk -v what="$2" '
    match($0, /cov: [0-9]+/) { count["edges"] = substr($0, RSTART + 5, RLENGTH - 5) }
    /^stat::number_of_executed_units:/ { count["executions"] = $2 }
    /^Done [0-9]+ runs in/ { count["seconds"] = $5 }
    END { print count[what] + 0 }
  ' "$fuzz_logs/$1.log"
}

# fuzz_row TARGET: the same as a row of a table, with the crashes ever found and still kept.
fuzz_row() {
  printf '%-16s %12d %7d %8d %8d\n' "$1" "$(fuzz_count "$1" executions)" \
    "$(fuzz_count "$1" edges)" "$(fuzz_count "$1" seconds)" \
    "$(find "$fuzz_crashes" -name "$1-*" | wc -l)"
}
