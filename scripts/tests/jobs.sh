# shellcheck shell=bash
# shellcheck disable=SC2154 # logs, passed, failed, skipped: set by report.sh
# Steps that run side by side. Sourced, never run; needs report.sh.
#
# A rig keeps one CPU busy, a build with one job too. So such steps wait in a queue, and as many run as this
# machine has CPUs. Each runs in a process of its own and counts there; what it printed appears in one
# piece when it has ended, and its counts are added then.

job_headings=()
job_functions=()

# job HEADING FUNCTION: queues a step. Those that take longest should come first.
job() {
  if is_wanted "$1"; then
    job_headings+=("$1")
    job_functions+=("$2")
  fi
}

# run_jobs: until the queue is empty.
run_jobs() {
  local index=0 running=0 limit process
  local -A numbers=()
  limit=$(nproc)
  # A job is a process group, so that all of it ends with this process.
  trap 'end_jobs 130' INT
  trap 'end_jobs 143' TERM HUP
  mkdir -p "$logs/jobs"
  while [[ $index -lt ${#job_headings[@]} || $running -gt 0 ]]; do
    if [[ $index -lt ${#job_headings[@]} && $running -lt $limit ]]; then
      set -m
      run_job "$index" >"$logs/jobs/$index.output" 2>&1 </dev/null &
      set +m
      numbers[$!]=$index
      index=$((index + 1))
      running=$((running + 1))
      continue
    fi
    wait -n -p process "${!numbers[@]}" || true
    end_job "${numbers[$process]}"
    unset "numbers[$process]"
    running=$((running - 1))
  done
  trap - INT TERM HUP
  job_headings=()
  job_functions=()
}

# end_jobs STATUS: those that run, and this process.
# shellcheck disable=SC2317 # called by traps
end_jobs() {
  for process in "${!numbers[@]}"; do
    kill -TERM -- "-$process" 2>/dev/null || true
  done
  wait
  exit "$1"
}

# run_job NUMBER: leaves its counts in a file.
run_job() {
  passed=0 failed=0 skipped=0
  rm -f "$logs/jobs/$1.counts"
  step "${job_headings[$1]}" "${job_functions[$1]}" || true
  printf '%d %d %d\n' "$passed" "$failed" "$skipped" >"$logs/jobs/$1.counts"
}

end_job() {
  local more_passed more_failed more_skipped
  cat "$logs/jobs/$1.output"
  if read -r more_passed more_failed more_skipped 2>/dev/null <"$logs/jobs/$1.counts"; then
    passed=$((passed + more_passed))
    failed=$((failed + more_failed))
    skipped=$((skipped + more_skipped))
  else
    fail_check "${job_headings[$1]}: ended without its counts"
  fi
}
