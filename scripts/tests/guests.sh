# shellcheck shell=bash
# shellcheck disable=SC2154 # guests, out: of the step; see below
# Checks of what guests in the rig left behind. Sourced, never run; needs report.sh.
#
# A step sets `guests`, the name its checks begin with, and `out`, where the guests' files are: of each guest
# NAME.status, NAME.stderr and others.

# check_equal WHAT IS SHOULD
check_equal() {
  if [[ $2 == "$3" ]]; then
    pass_check "$guests, $1"
  else
    fail_check "$guests, $1: '$2' instead of '$3'"
  fi
}

# check_status GUEST STATUS
check_status() {
  check_equal "$1: exit status" "$(cat "$out/$1.status" 2>/dev/null)" "$2"
}

# check_refused NAME PATTERN: ended with a status of failure and one line that says what is wrong.
check_refused() {
  local status
  status=$(cat "$out/$1.status" 2>/dev/null)
  if [[ $status =~ ^[123]$ && $(wc -l <"$out/$1.stderr") -eq 1 ]] &&
    grep -qE "^vmm-run: .*$2" "$out/$1.stderr"; then
    pass_check "$guests, $1: $(cut -c 1-160 "$out/$1.stderr")"
  else
    fail_check "$guests, $1: status ${status:-none}: $(head -c 600 "$out/$1.stderr")"
  fi
}
