# shellcheck shell=bash
# What is measured in the rig, on a stock KVM: QEMU and vmm-run in turn. Sourced by scripts/bench.
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh
# shellcheck source=scripts/lib/archive.sh
source scripts/lib/archive.sh
# shellcheck source=scripts/lib/rig-qemu.sh
source scripts/lib/rig-qemu.sh
# shellcheck source=scripts/lib/kernels.sh
source scripts/lib/kernels.sh
# shellcheck source=scripts/lib/initramfs.sh
source scripts/lib/initramfs.sh
# shellcheck source=scripts/lib/tiny-initramfs.sh
source scripts/lib/tiny-initramfs.sh
# shellcheck source=scripts/lib/efi.sh
source scripts/lib/efi.sh
# shellcheck source=scripts/lib/bench-network.sh
source scripts/lib/bench-network.sh
# shellcheck source=scripts/lib/bench-memory.sh
source scripts/lib/bench-memory.sh

# What QEMU has as vmm-run's guests have it.
peer_options=(-accel kvm -cpu "host,kvm=off,hv-relaxed,hv-vapic,hv-vpindex,hv-runtime,hv-crash,hv-time,hv-reset,\
hv-frequencies,hv-synic,hv-stimer,hv-tlbflush,hv-ipi" -nodefaults -no-user-config -no-reboot -nographic)

# find_peer: the QEMU that runs the rig (10.0), with its own libraries; sets `peer`, which starts it in the rig, and adds to
# `files` what the rig takes along.
find_peer() {
  local cache libraries=/qemu/lib/x86_64-linux-gnu:/qemu/usr/lib/x86_64-linux-gnu
  local loader=/qemu/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
  fill_rig_cache fetch_qemu || return 1
  if [[ ! -e $cache$loader ]]; then loader=/qemu/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2; fi
  peer=(
    "$loader" --inhibit-cache --argv0 qemu-system-x86_64 --library-path "$libraries"
    /qemu/usr/bin/qemu-system-x86_64 -L /qemu/usr/share/qemu -L /qemu/usr/share/seabios)
  files+=(--file "$cache/qemu:/qemu")
}

# As vmm-run's default with --kernel.
linux_memory=512
# Whether the guests have an NVMe disk.
linux_has_disk=true

# peer_command CPUS BACKING: sets `command`. BACKING is anonymous or memfd.
peer_command() {
  # vmm-run has no HPET either.
  local machine=q35,hpet=off
  command=(
    "${peer[@]}" "${peer_options[@]}" -smp "$1" -m "$linux_memory" -serial stdio
    -kernel /bench/vmlinuz -initrd "$linux_initrd" -append "$linux_append")
  if $linux_has_disk; then
    command+=(-drive 'file=/tmp/qemu.img,if=none,id=disk,format=raw' -device 'nvme,drive=disk,serial=disk')
  fi
  if [[ $2 == memfd ]]; then
    command+=(-object "memory-backend-memfd,id=ram,size=${linux_memory}M")
    machine+=,memory-backend=ram
  fi
  command+=(-machine "$machine")
}

# vmm_run_command CPUS OPTION...: sets `command`.
vmm_run_command() {
  command=(
    /bench/vmm-run run --kernel /bench/vmlinuz --initrd "$linux_initrd"
    --append "$linux_append" --cpus "$1" --memory "${linux_memory}M" "${@:2}")
  if $linux_has_disk; then command+=(--disk /tmp/vmm-run.img); fi
}

# emit WORD...: one line of shell.
emit() {
  printf '%q ' "$@"
  printf '\n'
}

# emit_exits REPETITIONS: hypercalls, port and MMIO exits on a stock KVM.
emit_exits() {
  emit /bench/measure exits --repetitions "$1" --exits 100
}

# emit_writes: what tracking costs a guest that writes, with nested paging.
emit_writes() {
  emit /bench/measure writes --repetitions 5 --memory 64
}

# emit_linux REPETITIONS: Linux from exec to power-off, and memory beyond guest RAM.
emit_linux() {
  local -a command measured
  local linux_append='console=ttyS0 panic=-1 linger=0' linux_initrd=/bench/initrd.gz
  emit truncate -s 64M /tmp/qemu.img /tmp/vmm-run.img
  peer_command 1 memfd
  emit /bench/compare memory 'Linux boot' QEMU "${command[@]}"
  vmm_run_command 1 --backing memfd
  emit /bench/compare memory 'Linux boot' vmm-run "${command[@]}"
  peer_command 1 anonymous
  measured=(QEMU "${command[@]}")
  vmm_run_command 1
  measured+=(-- vmm-run "${command[@]}")
  vmm_run_command 1 --tracking dirty-log
  measured+=(-- 'vmm-run, dirty log' "${command[@]}")
  vmm_run_command 1 --tracking write-protect
  measured+=(-- 'vmm-run, write protection' "${command[@]}")
  vmm_run_command 1 --tracking-policy never
  measured+=(-- 'vmm-run, not tracked' "${command[@]}")
  emit /bench/compare times 'Linux boot' "$1" "${measured[@]}"
}

# emit_disk REPETITIONS: the guest's NVMe; its figures are in the logs.
emit_disk() {
  local -a command
  local linux_append='console=ttyS0 quiet panic=-1' linux_initrd=/bench/disk.gz round
  # With time limits, as QEMU in the rig sometimes gets nowhere; such a boot has fewer figures or none.
  emit dd if=/dev/zero of=/tmp/qemu.img bs=1M count=64
  emit cp /tmp/qemu.img /tmp/vmm-run.img
  for ((round = 0; round < $1; round++)); do
    peer_command 1 anonymous
    printf '%s>>QEMU.disk.log 2>&1\n' "$(emit timeout 150 "${command[@]}" | tr -d '\n')"
    vmm_run_command 1
    printf '%s>>vmm-run.disk.log 2>&1\n' "$(emit timeout 150 "${command[@]}" | tr -d '\n')"
  done
}

# emit_firmware REPETITIONS: OVMF from exec to its shell, which switches off at once. The variables are there
# already, as after a first start.
emit_firmware() {
  local -a command measured
  local code=/usr/share/OVMF/OVMF_CODE_4M.fd vmm
  emit cp /usr/share/OVMF/OVMF_VARS_4M.fd /tmp/vars.fd
  emit /bench/vmm-run run --firmware "$code" --vars /tmp/vars.fd --disk /bench/shell.img --serial none
  for vmm in qemu vmm-run; do
    emit cp /tmp/vars.fd "/tmp/$vmm.fd"
  done
  # shellcheck disable=SC2054 # commas of QEMU's options
  measured=(
    QEMU "${peer[@]}" -accel kvm -cpu host
    -machine q35,hpet=off -m 1024 -nodefaults -no-user-config -no-reboot -nographic -serial stdio
    -drive "if=pflash,format=raw,readonly=on,file=$code"
    -drive 'if=pflash,format=raw,file=/tmp/qemu.fd'
    -drive 'file=/bench/shell.img,if=none,id=disk,format=raw,snapshot=on'
    -device 'nvme,drive=disk,serial=disk')
  command=(
    /bench/vmm-run run --firmware "$code" --vars /tmp/vmm-run.fd --disk /bench/shell.img
    --memory 1G)
  measured+=(-- vmm-run "${command[@]}")
  measured+=(-- 'vmm-run, not tracked' "${command[@]}" --tracking-policy never)
  emit /bench/compare times 'OVMF to its shell' "$1" "${measured[@]}"
}

# emit_restore REPETITIONS: a Linux guest with much in its memory. First it is saved, while it runs and waits: until the
# command that saves it has ended. Then it is restored, from the restoring process's exec to the guest's power-off, for which
# it waits for a line on its console. More than one comes: what QEMU reads before it has restored the serial port is lost.
emit_restore() {
  local lines='while echo; do sleep 0.05; done 2>/dev/null'
  local -a command measured
  local linux_append='console=ttyS0 quiet panic=-1' linux_initrd=/bench/restore.gz linux_memory=1024 first
  # QEMU saves no machine with its NVMe disk (findings/qemu-nvme-not-saved.sh).
  local linux_has_disk=false
  emit mkfifo /tmp/monitor
  peer_command 1 anonymous
  first=" $(emit "${command[@]}" | tr -d '\n')"
  # The monitor, not the console, on standard input.
  printf '%s -monitor stdio </tmp/monitor >/tmp/monitor.log 2>&1 &\n' "${first/-serial stdio/-serial file:/tmp/qemu.console}"
  vmm_run_command 1 --serial file:/tmp/vmm-run.console --control unix:/tmp/vmm.sock --snapshots /tmp/saved
  printf '%s &\n' "$(emit "${command[@]}" | tr -d '\n')"
  # A monitor's command has ended when it asks for the next one. One that saved stands still until it is told to go on, and one
  # that was saved standing still would not go on at the other end.
  cat <<'SCRIPT'
exec 8>/tmp/monitor
for guest in qemu vmm-run; do until grep -qs ready /tmp/$guest.console; do sleep 0.2; done; done
cat >/tmp/save-qemu <<'END'
prompts() { grep -o '(qemu) ' /tmp/monitor.log | wc -l; }
echo cont >/tmp/monitor; rm -f /tmp/qemu.state; sleep 0.02; before=$(prompts)
echo 'migrate "exec:cat >/tmp/qemu.state"' >/tmp/monitor
until [ "$(prompts)" -gt "$before" ]; do usleep 5000; done
END
SCRIPT
  emit /bench/compare times 'Saved Linux' "$1" QEMU sh /tmp/save-qemu \
    -- vmm-run /bench/vmm-run ctl /tmp/vmm.sock snapshot it
  cat <<'SCRIPT'
echo quit >&8; exec 8>&-; /bench/vmm-run ctl /tmp/vmm.sock shutdown; wait
printf 'QEMU %d\nvmm-run %d\n' "$(du -k /tmp/qemu.state | cut -f 1)" "$(du -sk /tmp/saved/it | cut -f 1)" >/out/saved.sizes
cat /tmp/qemu.state /tmp/saved/it/* >/dev/null
SCRIPT
  measured=(QEMU sh -c "$lines | $first -incoming 'exec:cat /tmp/qemu.state'")
  measured+=(-- vmm-run sh -c "$lines | /bench/vmm-run restore /tmp/saved/it --serial stdio")
  emit /bench/compare times 'Restored Linux' "$1" "${measured[@]}"
}

# saved_sizes FILE: what a saved guest takes of the file system, of lines of a name and KiB, as a line of JSON.
saved_sizes() {
  jq --raw-input --null-input --compact-output '
    [inputs / " " | {(.[0]): (.[1] | tonumber / 1024)}] | add
    | {section: "Saved Linux", name: "size", unit: "MiB", count: 1, median: ."vmm-run", best: ."vmm-run", spread: 0,
       floor: "QEMU", floorMedian: .QEMU, floorBest: .QEMU, floorSpread: 0}
    | .ratio = .median / .floorMedian | .ratioOfBests = .ratio' "$1"
}

# make_restore_initramfs FILE: an initramfs that fills 200 MiB of memory, says so, and powers off when it gets a line.
make_restore_initramfs() {
  local tree
  tree=$(mktemp -d)
  mkdir -p "$tree"/{bin,dev,proc,sys,tmp}
  cp /bin/busybox "$tree/bin/busybox"
  cat >"$tree/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t tmpfs -o size=512m tmp /tmp
exec </dev/ttyS0 >/dev/ttyS0 2>&1
/bin/busybox yes 'something that is not zero' | /bin/busybox head -c 209715200 >/tmp/ballast
/bin/busybox echo ready
read -r line
/bin/busybox poweroff -f
INIT
  chmod 755 "$tree/init"
  pack_initramfs "$tree" | gzip -n >"$1"
  rm -rf "$tree"
}

# make_disk_initramfs FILE PROGRAM: an initramfs that measures /dev/nvme0n1 and powers off.
make_disk_initramfs() {
  local tree
  tree=$(mktemp -d)
  mkdir -p "$tree"/{bin,dev,proc,sys}
  cp /bin/busybox "$tree/bin/busybox"
  cp "$2" "$tree/bin/disk"
  cat >"$tree/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
exec >/dev/ttyS0 2>&1
until [ -b /dev/nvme0n1 ]; do /bin/busybox sleep 0.1; done
/bin/disk /dev/nvme0n1
/bin/busybox poweroff -f
INIT
  chmod 755 "$tree/init"
  pack_initramfs "$tree" | gzip -n >"$1"
  rm -rf "$tree"
}

# disk_figures DIRECTORY: the figures in the disk logs there, as lines of JSON.
disk_figures() {
  local vmm
  for vmm in QEMU vmm-run; do
    sed -n "s/\r$//; s/^disk \(.*\): \([0-9]*\)$/$vmm\t\1\t\2/p" "$1/$vmm.disk.log"
  done | jq --raw-input --null-input --compact-output '
    def quantile(part): sort | .[length * part | floor];
    def spread: (quantile(0.75) - quantile(0.25)) / quantile(0.5);
    [inputs / "\t"] | group_by(.[1])[]
    | (map(select(.[0] == "vmm-run")[2] | tonumber / 1000)) as $own
    | (map(select(.[0] == "QEMU")[2] | tonumber / 1000)) as $peer
    | {section: "NVMe", name: .[0][1], unit: "1000 cycles", count: ($own | length),
       median: ($own | quantile(0.5)), best: ($own | min), spread: ($own | spread), floor: "QEMU",
       floorMedian: ($peer | quantile(0.5)), floorBest: ($peer | min),
       floorSpread: ($peer | spread)}
    | .ratio = .median / .floorMedian | .ratioOfBests = .best / .floorBest'
}

# bench_rig WORK-DIRECTORY REPETITIONS WHAT...: WHAT is exits, writes, linux, disk, firmware, restore, network or memory. Needs vmm-run and measure,
# static, in the work directory; leaves rig.jsonl there.
bench_rig() {
  local work=$1 repetitions=$2 what kernel
  local -a files=() peer
  shift 2
  require_packages busybox-static cpio ovmf
  find_peer
  if [[ " $* " == *' network '* ]]; then make_network_bench "$work"; fi
  if [[ " $* " == *' memory '* ]]; then make_memory_bench "$work"; fi
  get_kernel 6.12
  cc -O2 -Wall -static -o "$work/compare" Benchmarks/programs/compare.c
  cc -O2 -Wall -static -o "$work/disk" Benchmarks/programs/disk.c
  make_tiny_initramfs "$work/initrd.gz"
  make_restore_initramfs "$work/restore.gz"
  make_disk_initramfs "$work/disk.gz" "$work/disk"
  printf 'reset -s\r\n' >"$work/startup.nsh"
  make_esp_disk "$work/shell.img" 40M "$work/startup.nsh:/startup.nsh"
  {
    echo 'export BENCH_FIGURES=/out/figures.jsonl'
    # For scripts: no word of it has a space.
    printf 'export PEER=%q\n' "${peer[*]} ${peer_options[*]}"
    # Into the page cache with what they read; their output survives a time-out.
    echo 'cat /qemu/usr/bin/qemu-system-x86_64 /bench/* >/dev/null; cd /out'
    for what in "$@"; do
      case $what in
        exits) emit_exits "$((repetitions * 5))" ;;
        writes) emit_writes ;;
        linux) emit_linux "$repetitions" ;;
        disk) emit_disk "$repetitions" ;;
        firmware) emit_firmware "$repetitions" ;;
        restore) emit_restore "$repetitions" ;;
        network) emit_network "$repetitions" ;;
        memory) emit_memory "$repetitions" ;;
      esac
    done
  } >"$work/commands"
  # One CPU: with two, which the rig's QEMU runs in turn on one thread, QEMU in the rig often gets
  # nowhere for minutes.
  scripts/rig --cpus 1 --timeout 3600 --out "$work/out" --script "$work/commands" \
    --file "$work/compare:/bench/compare" --file "$work/measure:/bench/measure" \
    --file "$work/vmm-run:/bench/vmm-run" --file "$work/initrd.gz:/bench/initrd.gz" \
    --file "$work/restore.gz:/bench/restore.gz" --file "$work/disk.gz:/bench/disk.gz" --file "$work/shell.img:/bench/shell.img" \
    --file "$kernel/vmlinuz:/bench/vmlinuz" "${files[@]}" \
    --file /usr/share/OVMF
  {
    cat "$work/out/figures.jsonl" 2>/dev/null || true
    if [[ " $* " == *' disk '* ]]; then disk_figures "$work/out"; fi
    if [[ " $* " == *' restore '* ]]; then saved_sizes "$work/out/saved.sizes"; fi
    if [[ " $* " == *' network '* ]]; then network_figures "$work/out/network.tsv"; fi
    if [[ " $* " == *' memory '* ]]; then memory_figures "$work/out/memory.tsv"; fi
  } >"$work/rig.jsonl"
}
