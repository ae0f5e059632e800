# shellcheck shell=bash
# shellcheck disable=SC2154 # here: set by scripts/test
# Steps, counts and the summary of scripts/test. Sourced, never run.

logs=$PWD/.build-test
passed=0
failed=0
skipped=0 # checks outside Swift Testing; its tests are counted in finish_report

begin_report() {
  rm -rf "$logs/events" "$logs"/*.log
  mkdir -p "$logs/events"
  : >"$logs/skipped"
}

# is_wanted HEADING: whether the step was asked for; `only` is a pattern, or empty for all.
is_wanted() {
  [[ $1 =~ ${only-} ]]
}

# cpu_seconds: sets `cpu_seconds` to the CPU time of all processes that this one has waited for.
cpu_seconds() {
  local -a statistics
  read -ra statistics <"/proc/$BASHPID/stat"
  cpu_seconds=$(((statistics[15] + statistics[16]) / $(getconf CLK_TCK)))
}

# step HEADING FUNCTION: runs it, says how long it took and how much CPU time. A function that fails without
# having counted a failure itself counts as one.
step() {
  local heading=$1 function=$2 start=$SECONDS status=0 before=$failed cpu_seconds cpu_before
  is_wanted "$heading" || return 0
  cpu_seconds && cpu_before=$cpu_seconds
  printf '\n== %s\n' "$heading"
  "$function" || status=$?
  if [[ $status -ne 0 && $failed -eq $before ]]; then
    fail_check "$heading"
  fi
  cpu_seconds
  printf -- '-- %s: %d s, %d s of CPU\n' "$heading" $((SECONDS - start)) \
    $((cpu_seconds - cpu_before))
  [[ $failed -eq $before ]]
}

pass_check() {
  passed=$((passed + 1))
  printf 'passed: %s\n' "$1"
}

fail_check() {
  failed=$((failed + 1))
  printf 'FAILED: %s\n' "$1"
}

# skip_check NAME REASON
skip_check() {
  skipped=$((skipped + 1))
  printf 'skipped: %s: %s\n' "$1" "$2"
  printf '%s: %s\n' "$1" "$2" >>"$logs/skipped"
}

# logged NAME COMMAND...: runs it with its output in a log, shown in full if it fails.
logged() {
  local log=$logs/$1.log status=0
  shift
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if grep -aq '^rig: QEMU stood still' "$log"; then
    printf 'note: QEMU stood still under the rig, which began once more: %s\n' "$log"
  fi
  if [[ $status -ne 0 ]]; then
    cat "$log"
    printf 'exit status %d: %s\n' "$status" "$*"
  fi
  return "$status"
}

# count_tests NAME STATUS: counts the Swift Testing run of that name, which exited with STATUS,
# from its event stream. Prints what failed or was skipped, and the closing line of the run.
count_tests() {
  local name=$1 status=$2 before=$failed outcome id text closing='' count=0
  local outcomes=$logs/events/$name.outcomes
  touch "$logs/events/$name.json"
  jq -nrR -f "$here/tests/outcomes.jq" "$logs/events/$name.json" >"$outcomes"
  while IFS=$'\t' read -r outcome id text; do
    count=$((count + 1))
    case $outcome in
      passed) passed=$((passed + 1)) ;;
      failed) fail_check "$id: $text" ;;
      skipped) printf 'skipped: %s: %s\n' "$id" "$text" ;;
      closing)
        closing=$text
        count=$((count - 1))
        ;;
    esac
  done <"$outcomes"
  if [[ -z $closing ]]; then
    fail_check "$name: no test ran, or the run ended early; exit status $status"
  elif [[ $status -ne 0 && $failed -eq $before ]]; then
    fail_check "$name: exit status $status; $closing"
  elif [[ ! $closing =~ ' with '$count' test' ]]; then
    fail_check "$name: $count tests in the event stream; $closing"
  fi
  printf '%s\n' "$closing"
  [[ $failed -eq $before ]]
}

# skipped_everywhere: tests that some run skipped and none ran, with the reason, one a line.
skipped_everywhere() {
  local -a outcomes=("$logs"/events/*.outcomes)
  if [[ -e ${outcomes[0]} ]]; then
    awk -F '\t' '
      $1 == "passed" || $1 == "failed" { ran[$2] = 1 }
      $1 == "skipped" && !($2 in reason) { reason[$2] = $3; order[++count] = $2 }
      END {
        for (i = 1; i <= count; i++)
          if (!(order[i] in ran)) print order[i] ": " reason[order[i]]
      }' "${outcomes[@]}"
  fi
}

# finish_report: the summary line, alone and last. Ends the process.
finish_report() {
  local -a tests
  mapfile -t tests < <(skipped_everywhere)
  skipped=$((skipped + ${#tests[@]}))
  printf '\n== Summary after %d s\n' "$SECONDS"
  if [[ ${#tests[@]} -gt 0 ]]; then
    printf 'ran nowhere: %s\n' "${tests[@]}"
  fi
  sed 's/^/ran nowhere: /' "$logs/skipped"
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  [[ $failed -eq 0 ]] || exit 1
  exit 0
}
