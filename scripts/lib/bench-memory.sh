# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # files: of bench-rig.sh
# What the host gets back of a Linux guest's memory, and what a balloon costs, against QEMU's, in the rig: the QEMU that runs
# the rig (10.0) with VMBus and Dynamic Memory of its own, the same guest. Sourced by bench-rig.sh; needs archive.sh, kernels.sh
# and initramfs.sh.

memory_series=6.12

# make_memory_bench WORK-DIRECTORY: the guest; adds to `files` what the rig takes along.
make_memory_bench() {
  local work=$1 kernel tree
  get_kernel "$memory_series" hv_vmbus hv_balloon
  tree=$(mktemp -d)
  mkdir -p "$tree"/{bin,dev,proc,sys,tmp}
  cp /bin/busybox "$tree/bin/busybox"
  add_modules "$tree" "$kernel" memory hv_vmbus hv_balloon
  cat >"$tree/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
exec >/dev/ttyS0 2>&1
for module in hv_vmbus hv_balloon; do /bin/busybox insmod /modules/$module.ko; done
/bin/busybox sleep 5
/bin/busybox echo started
/bin/busybox mount -t tmpfs -o size=320m tmp /tmp
/bin/busybox yes 'something that is not zero' | /bin/busybox head -c 314572800 >/tmp/file
/bin/busybox sleep 3
/bin/busybox echo used
/bin/busybox sleep 3
/bin/busybox rm /tmp/file
/bin/busybox sleep 15
/bin/busybox echo idle
/bin/busybox mount -t proc proc /proc
while :; do
  /bin/busybox sed -n 's/^MemFree: *\([0-9]*\) kB$/free \1/p' /proc/meminfo
  /bin/busybox sleep 5
done
INIT
  chmod 755 "$tree/init"
  pack_initramfs "$tree" | gzip -n >"$work/memory.gz"
  rm -rf "$tree"
  files+=(--file "$kernel/vmlinuz:/bench/memory.kernel" --file "$work/memory.gz:/bench/memory.gz"
    --file scripts/lib/bench-memory-in-rig.sh:/bench/memory.sh)
}

# emit_memory REPETITIONS: its lines are in memory.tsv.
emit_memory() {
  printf 'sh /bench/memory.sh %q\n' "$1"
}

# memory_figures FILE: the figures of those lines, of a monitor, a name and a number, as lines of JSON.
memory_figures() {
  jq --raw-input --null-input --compact-output '
    def quantile(part): sort | .[length * part | floor];
    def spread: (quantile(0.75) - quantile(0.25)) / ([quantile(0.5), 1] | max);
    def goal: if startswith("idle") then 0.7 elif startswith("a balloon") then 0.5 else null end;
    def isTime: startswith("a balloon");
    [inputs / "\t" | .[2] |= tonumber | if .[1] | isTime then . else .[2] /= 1024 end] | group_by(.[1])[]
    | .[0][1] as $name | (map(select(.[0] == "vmm-run")[2])) as $own | (map(select(.[0] == "QEMU")[2])) as $peer
    | select(($own | length) > 0 and ($peer | length) > 0)
    | {section: "Memory given back", $name, unit: (if $name | isTime then "ms" else "MiB" end), count: ($own | length), median: ($own | quantile(0.5)),
       best: ($own | min), spread: ($own | spread), floor: "QEMU", floorMedian: ($peer | quantile(0.5)),
       floorBest: ($peer | min), floorSpread: ($peer | spread), goal: ($name | goal)}
    | if .goal == null then del(.goal) else . end
    | .ratio = .median / .floorMedian | .ratioOfBests = .best / .floorBest' "$1"
}
