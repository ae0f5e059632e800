# shellcheck shell=bash
# shellcheck disable=SC2154 # here, failed: set by scripts/test and report.sh
# A step of scripts/test: every fuzz target for a short time. Sourced, never run. scripts/fuzz runs them
# for longer.

# shellcheck source=scripts/lib/fuzz.sh
source "$here/lib/fuzz.sh"

# Executions of each target, and the seconds they may take.
fuzz_test_executions=10000
fuzz_test_seconds=2

# run_fuzz: the corpus of each target, then new inputs, the same ones at every run. What reached something
# new, and the corpus, once more in the sandbox.
run_fuzz() {
  local target counts work before=$failed
  local -a targets
  logged build-fuzz build_fuzz || return 1
  mapfile -t targets < <(fuzz_targets)
  work=$(mktemp -d)
  for target in "${targets[@]}"; do
    if [[ -z $(find "Fuzz/Corpus/$target" -type f 2>/dev/null) ]]; then
      fail_check "fuzz $target: no corpus in Fuzz/Corpus/$target"
      continue
    fi
    mkdir "$work/$target"
    # The corpus comes first in any case.
    if logged "fuzz-$target" fuzz_process "$target" -seed=1 "-runs=$fuzz_test_executions" \
      "-max_total_time=$fuzz_test_seconds" "$work/$target" "Fuzz/Corpus/$target"; then
      counts="$(fuzz_count "$target" executions) executions, $(fuzz_count "$target" edges) edges"
      pass_check "fuzz $target: $counts"
    else
      fail_check "fuzz $target: see .build-fuzz/crashes/$target-*"
    fi
    if logged "fuzz-$target-sandboxed" replay_fuzz_sandboxed "$target" "$work/$target" \
      "Fuzz/Corpus/$target"; then
      pass_check "fuzz $target: $(tail -n 1 "$fuzz_logs/$target-sandboxed.log")"
    else
      fail_check "fuzz $target in the sandbox: see $fuzz_logs/$target-sandboxed.log"
    fi
  done
  rm -rf "$work"
  [[ $failed -eq $before ]]
}
