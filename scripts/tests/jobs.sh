# shellcheck shell=bash
# shellcheck disable=SC2154 # logs, passed, failed, skipped: set by report.sh
# Steps that run side by side. Sourced, never run; needs report.sh.
#
# A rig keeps one CPU busy, and a build with one job does, too. So such steps wait in a queue, and as many
# run as this machine has CPUs. Each runs in a process of its own and counts there; what it printed appears in one
# piece when it has ended, and its counts are added then.

job_headings=()
job_functions=()
job_minutes=()
# How many of them were started, and the number of each that runs, by its process.
jobs_started=0
declare -A job_numbers=()

# job HEADING FUNCTION [MINUTES]: queues a step. What takes so many minutes longer than others has to begin so much
# earlier (--begin-within).
job() {
  if is_wanted "$1"; then
    job_headings+=("$1")
    job_functions+=("$2")
    job_minutes+=("${3-0}")
  fi
}

# run_jobs [HEADING]: until this one has ended, or none is left. Others go on meanwhile: more can be queued
# behind them.
run_jobs() {
  local process number
  trap 'end_jobs 130' INT
  trap 'end_jobs 143' TERM HUP
  mkdir -p "$logs/jobs"
  while true; do
    while [[ $jobs_started -lt ${#job_headings[@]} && ${#job_numbers[@]} -lt $(nproc) ]]; do
      if [[ -n ${last_begin-} && $SECONDS -ge $((last_begin - 60 * job_minutes[jobs_started])) ]]; then
        skip_check "${job_headings[$jobs_started]}" \
          "had not begun after $((SECONDS / 60)) minutes; run it with --only"
        jobs_started=$((jobs_started + 1))
        continue
      fi
      set -m
      run_job "$jobs_started" >"$logs/jobs/$jobs_started.output" 2>&1 </dev/null &
      set +m
      job_numbers[$!]=$jobs_started
      jobs_started=$((jobs_started + 1))
    done
    [[ ${#job_numbers[@]} -gt 0 ]] || break
    wait -n -p process "${!job_numbers[@]}" || true
    number=${job_numbers[$process]}
    unset "job_numbers[$process]"
    end_job "$number"
    [[ ${job_headings[$number]} != "${1-}" ]] || break
  done
}

# alone HEADING FUNCTION: a step by itself, which a signal ends as it ends those side by side; one that runs in this process
# would be left behind.
alone() {
  local before=$failed
  job "$@"
  run_jobs "$1"
  [[ $failed -eq $before ]]
}

# end_jobs STATUS: those that run, and this process.
# shellcheck disable=SC2317 # called by traps
end_jobs() {
  local process
  for process in "${!job_numbers[@]}"; do
    end_tree "$process"
  done
  wait
  exit "$1"
}

# end_tree PROCESS: it and all its descendants. By their parents: timeout(1) makes a process group of its own.
# shellcheck disable=SC2317 # called by traps
end_tree() {
  local child
  local -a children=()
  read -ra children <"/proc/$1/task/$1/children" || true
  kill -TERM "$1" || true
  for child in "${children[@]}"; do end_tree "$child"; done
} 2>/dev/null

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
