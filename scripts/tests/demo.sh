# shellcheck shell=bash
# shellcheck disable=SC2154 # here, logs, failed: set by scripts/test and report.sh
# Steps of scripts/test: `vmm-run demo`, whose guest asks which of its memory is still zero.
# Sourced, never run.

demo=(demo --compare --json)
vmm_run=$PWD/.build-static/release/vmm-run

# check_law NAME TEXT FILE LAW: LAW is a jq condition on the demo's JSON. The word `true` is
# compared because jq 1.6 also exits 0 without any input.
check_law() {
  local name=$1 text=$2 file=$3 law=$4
  if [[ $(jq "$law" "$file" 2>/dev/null) == true ]]; then
    pass_check "$name: $text"
  else
    fail_check "$name: $text; got $(head -c 2000 "$file")"
  fi
}

# check_demo NAME STATUS PREALLOCATED FILE: the laws every demo run obeys.
check_demo() {
  local name=$1 status=$2 preallocated=$3 file=$4
  if [[ $status -ne 0 ]]; then
    fail_check "$name: exit status $status"
    return 0
  fi
  # First, because in jq null is less than every number.
  check_law "$name" 'the report is complete' "$file" \
    '[.memoryBytes, .with.nonZeroReportedPages, .with.reportedBytes, .with.residentBytes,
      .without.residentBytes] | all(type == "number") and .[0] > 0 and .[4] > 0'
  check_law "$name" 'no reported page holds anything but zeros' "$file" \
    '.with.nonZeroReportedPages == 0'
  check_law "$name" 'at least 97 % of memory is reported' "$file" \
    '.with.reportedBytes >= 0.97 * .memoryBytes'
  if [[ $preallocated == yes ]]; then
    check_law "$name" 'preallocated memory stays: at least 95 % as much resident' "$file" \
      '.with.residentBytes >= 0.95 * .without.residentBytes'
  else
    check_law "$name" 'under 5 % as much resident memory' "$file" \
      '.with.residentBytes < 0.05 * .without.residentBytes'
  fi
}

run_demo_here() {
  local name='demo here, userspace' status=0 before=$failed
  if [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
    skip_check "$name" 'needs read-write /dev/kvm'
    return 0
  fi
  timeout --kill-after=5 180 "$vmm_run" "${demo[@]}" --memory 1G --hyperv userspace \
    >"$logs/demo-here.json" 2>"$logs/demo-here.log" </dev/null || status=$?
  check_demo "$name" "$status" no "$logs/demo-here.json"
  if [[ $failed -ne $before ]]; then
    cat "$logs/demo-here.log"
  fi
}

# The demos of the rig, one a line: name, preallocated, options. All run in one boot, which
# scripts/tests/demos-in-rig.sh does; it reads these lines.
demos_in_rig='
kernel              no   --memory 1G --hyperv kernel
userspace           no   --memory 512M --hyperv userspace --trim-at-answer 10000
hugetlb-prealloc    yes  --memory 512M --hyperv kernel --backing hugetlb --prealloc
memfd-prealloc      yes  --memory 512M --hyperv kernel --backing memfd --prealloc --verify-zeroed
dirty-log           no   --memory 1G --hyperv kernel --tracking dirty-log
write-protect       no   --memory 512M --hyperv kernel --tracking write-protect --verify-zeroed
two-vcpus           no   --memory 1G --hyperv kernel --cpus 2 --granularity 32M
'

# check_trimming: of two demos of the same size, that with --trim-at-answer has a third of the memory,
# and 4 MiB at most.
check_trimming() {
  local other
  other=$(jq .with.residentBytes "$logs/demos/kernel.json" 2>/dev/null) || other=null
  check_law 'demo in the rig, trimmed' "less than a third of $other bytes resident, and at most 4 MiB" \
    "$logs/demos/userspace.json" \
    "($other | type) == \"number\" and (.with.residentBytes
      | type == \"number\" and . * 3 < $other and . <= 4194304)"
}

run_demos_in_rig() {
  local name preallocated options status rig_status=0 before=$failed
  rm -rf "$logs/demos"
  # 512 MiB of huge pages, and 32 MiB more for what a VMM keeps beside the guest's memory.
  logged demos-in-rig "$here/rig" --timeout 1800 --memory 6144 --hugepages 272 --out "$logs/demos" \
    --file "$vmm_run:/usr/bin/vmm-run" --env "DEMO=${demo[*]}" --env "DEMOS=$demos_in_rig" \
    --script "$here/tests/demos-in-rig.sh" || rig_status=$?
  while read -r name preallocated options; do
    if [[ -z $name ]]; then
      continue
    fi
    status=$(cat "$logs/demos/$name.status" 2>/dev/null) || status="none (rig: $rig_status)"
    if [[ $status != 0 ]]; then
      fail_check "demo in the rig, $name ($options): exit status $status"
    else
      check_demo "demo in the rig, $name" 0 "$preallocated" "$logs/demos/$name.json"
    fi
  done <<<"$demos_in_rig"
  check_trimming
  if [[ $failed -ne $before && $rig_status -eq 0 ]]; then
    cat "$logs/demos-in-rig.log"
  fi
}
