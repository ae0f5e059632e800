# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # linux_memory, files: of bench-rig.sh
# A Linux guest's network against QEMU's, in the rig: the QEMU that runs the rig (10.0), the same passt, the same guest.
# Sourced by bench-rig.sh; needs archive.sh, kernels.sh and initramfs.sh.

network_series=6.12
# MiB each way, and round trips.
read -ra network_amounts <<<"${NETWORK_AMOUNTS:-24 2000}"
network_cards=${NETWORK_CARDS:-virtio e1000e}

# make_network_initramfs FILE KERNEL PROGRAM MODULE...: uses the network, and powers off.
make_network_initramfs() {
  local file=$1 kernel=$2 program=$3 tree
  shift 3
  tree=$(mktemp -d)
  mkdir -p "$tree"/{bin,dev,proc,sys}
  cp /bin/busybox "$tree/bin/busybox"
  cp "$program" "$tree/bin/network"
  add_modules "$tree" "$kernel" cards "$@"
  cat >"$tree/init" <<INIT
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
exec >/dev/ttyS0 2>&1
for module in $*; do /bin/busybox insmod /modules/\$module.ko; done
/bin/busybox ip link set eth0 up
/bin/busybox ip address add 10.0.2.15/24 dev eth0
/bin/busybox ip route add default via 10.0.2.2
until /bin/busybox ping -c 1 -W 1 10.0.2.2 >/dev/null; do :; done
/bin/network use 10.0.2.2 8000 ${network_amounts[*]}
/bin/busybox poweroff -f
INIT
  chmod 755 "$tree/init"
  pack_initramfs "$tree" | gzip -n >"$file"
  rm -rf "$tree"
}

# make_network_bench WORK-DIRECTORY: programs and guests; adds to `files` what the rig takes along.
make_network_bench() {
  local work=$1 cache kernel
  local -a virtio=(failover net_failover virtio_net)
  fill_rig_cache fetch_tree passt bookworm unpack_packages passt
  cc -O2 -Wall -static -o "$work/network" Benchmarks/programs/network.c
  # Debian's cloud kernel has no e1000e.
  get_kernel "$network_series-full" e1000e
  make_network_initramfs "$work/e1000e.gz" "$kernel" "$work/network" e1000e
  files+=(--file "$kernel/vmlinuz:/bench/e1000e.kernel" --file "$work/e1000e.gz:/bench/e1000e.gz")
  get_kernel "$network_series" "${virtio[@]}"
  make_network_initramfs "$work/virtio.gz" "$kernel" "$work/network" "${virtio[@]}"
  files+=(--file "$kernel/vmlinuz:/bench/virtio.kernel" --file "$work/virtio.gz:/bench/virtio.gz")
  files+=(--file "$work/network:/bench/network" --file "$cache/passt/usr/bin/passt:/usr/bin/passt"
    --file scripts/lib/bench-network-in-rig.sh:/bench/network.sh)
}

# emit_network REPETITIONS: its lines are in network.tsv.
emit_network() {
  printf 'sh /bench/network.sh %q %q %q\n' "$1" "$linux_memory" "$network_cards"
}

# network_figures FILE: the figures of those lines, as lines of JSON: what a MiB costs the monitor, and a round trip.
network_figures() {
  jq --raw-input --null-input --compact-output '
    def quantile(part): sort | .[length * part | floor];
    def spread: (quantile(0.75) - quantile(0.25)) / quantile(0.5);
    # All of the monitor but the guest itself: what KVM does for its vCPUs is the monitor'"'"'s, too.
    def costs: (.[4] - .[5] + .[6]) / .[2];
    [inputs / "\t" | .[2:] |= map(tonumber)] | group_by(.[1] + (.[0] / " ")[1])[]
    | (.[0][0] / " ")[1] as $card | .[0][1] as $part
    | map(select(.[0] | startswith("vmm-run"))) as $own | map(select(.[0] | startswith("QEMU"))) as $peer
    | ({name: "\($card), \($part), processor time",
        unit: (if $part == "trips" then "µs" else "ms/MiB" end),
        own: ($own | map(costs)), peer: ($peer | map(costs)),
        goal: (if $part == "trips" then null elif $card == "e1000e" then 0.83 else 1 end)},
       {name: "\($card), \($part), on the clock", unit: (if $part == "trips" then "µs" else "ms/MiB" end),
        own: ($own | map(.[3] / .[2])), peer: ($peer | map(.[3] / .[2])),
        goal: (if $part == "trips" then 1 else null end)},
       {name: "\($card), \($part), exits", unit: "exits", own: ($own | map(.[7] / .[2])),
        peer: ($peer | map(.[7] / .[2]))},
       {name: "\($card), \($part), sleeps of other threads", unit: "sleeps", own: ($own | map(.[8] / .[2])),
        peer: ($peer | map(.[8] / .[2]))})
    | (if .unit == "µs" then 1000 elif .unit == "ms/MiB" then 1000000 else 1 end) as $scale
    | (.own |= map(. / $scale)) | (.peer |= map(. / $scale))
    | {section: "Network", name, unit, count: (.own | length), median: (.own | quantile(0.5)), best: (.own | min),
       spread: (.own | spread), floor: "QEMU", floorMedian: (.peer | quantile(0.5)), floorBest: (.peer | min),
       floorSpread: (.peer | spread), goal}
    | if .goal == null then del(.goal) else . end
    | .ratio = .median / .floorMedian | .ratioOfBests = .best / .floorBest' "$1"
}
