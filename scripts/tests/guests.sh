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

# check_given_back GUEST SIZE: of memory that had a file of SIZE MiB, 150 are the host's again when it is gone. NAME.resident
# has lines of a second, KiB in memory, and `used` or `freed`.
check_given_back() {
  local guest=$1 used freed seconds
  read -r used freed seconds < <(awk '
    $3 == "used" && $2 > used { used = $2 }
    $3 == "freed" && (!freed || $2 < freed) { freed = $2 }
    $3 == "freed" && !start { start = $1 }
    $3 == "freed" && !end && $2 + 153600 <= used { end = $1 }
    END { print used + 0, freed + 0, end ? end - start : "-" }' "$out/$guest.resident")
  if [[ $seconds != - ]]; then
    pass_check "$guests, $guest: of $((used >> 10)) MiB in memory $((freed >> 10)) are left when a file of $2\
 MiB is gone; 150 were back after $seconds s"
  else
    fail_check "$guests, $guest: $used KiB in memory with a file of $2 MiB, $freed without"
  fi
}
