# shellcheck shell=bash
# shellcheck disable=SC2154 # out: set by the callers
# What Linux guests may say at level warning or worse, and whose fault each message is: none is vmm-run's.
# Sourced, never run; needs report.sh.

# Owner and pattern. The patterns match whole messages.
#
# The rig's processor is emulated: it has no microcode to update, and it is slow. A kernel that is started directly asks the
# TPM for its self test before it starts it, which firmware would have done: TPM_RC_INITIALIZE.
allowed_messages=(
  'Linux without firmware:tpm tpm0: A TPM error \(256\) occurred attempting the self test'
  'the test, its module:zeroed_memory: (loading out-of-tree module taints|module verification failed: .* tainting) kernel\.?'
  'the rig, its processor:Speculative Return Stack Overflow: .*'
  'the rig, its slowness:hrtimer: interrupt took [0-9]+ ns'
  'the rig, its slowness:sched: DL replenish lagged too much'
  'the rig, its slowness:workqueue: .* hogged CPU for .*'
  'the rig, its slowness:perf: interrupt took too long .*'
  'the rig, its slowness:APIC calibration not consistent with PM-Timer: .*'
)

# check_messages GUEST: the warnings that GUEST told are all known.
check_messages() {
  local message entry owner unknown=''
  local -A counts=()
  while IFS= read -r message; do
    owner=''
    for entry in "${allowed_messages[@]}"; do
      if [[ $message =~ ^(${entry#*:})$ ]]; then
        owner=${entry%%:*}
        break
      fi
    done
    if [[ -z $owner ]]; then
      unknown+="; $message"
    else
      counts[$owner]=$((${counts[$owner]:-0} + 1))
    fi
  done < <(sed -n 's/^@ warning //p' "$out/$1.told")
  if [[ -n $unknown ]]; then
    fail_check "Linux, $1: warnings$unknown"
    return
  fi
  for owner in "${!counts[@]}"; do
    printf 'Linux, %s: %d warnings of %s\n' "$1" "${counts[$owner]}" "$owner"
  done
  pass_check "Linux, $1: no warning is ours"
}
