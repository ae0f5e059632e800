# shellcheck shell=bash
# Linux from exec to power-off, QEMU against vmm-run, in the rig. Sourced by scripts/bench.
# shellcheck source=scripts/lib/packages.sh
source scripts/lib/packages.sh
# shellcheck source=scripts/lib/initramfs.sh
source scripts/lib/initramfs.sh
# shellcheck source=scripts/lib/tiny-initramfs.sh
source scripts/lib/tiny-initramfs.sh

# As vmm-run's default with --kernel.
linux_memory=512

# qemu_command CPUS BACKING: sets `command`. BACKING is anonymous or memfd.
qemu_command() {
  # vmm-run has no HPET either.
  local machine=q35,hpet=off hyperv=hv-relaxed,hv-vapic,hv-vpindex,hv-runtime,hv-crash,hv-time,hv-reset
  hyperv+=,hv-frequencies,hv-synic,hv-stimer,hv-tlbflush,hv-ipi
  command=(
    qemu qemu-system-x86_64 -L /usr/share/qemu -L /usr/share/seabios -accel kvm
    -cpu "host,kvm=off,$hyperv" -smp "$1" -m "$linux_memory"
    -nodefaults -no-user-config -no-reboot -nographic -serial stdio
    -kernel /bench/vmlinuz -initrd /bench/initrd.gz -append "$linux_append"
    -drive 'file=/tmp/qemu.img,if=none,id=disk,format=raw'
    -device 'nvme,drive=disk,serial=disk')
  if [[ $2 == memfd ]]; then
    command+=(-object "memory-backend-memfd,id=ram,size=${linux_memory}M")
    machine+=,memory-backend=ram
  fi
  command+=(-machine "$machine")
}

# vmm_run_command NAME CPUS OPTION...: sets `command`.
vmm_run_command() {
  command=(
    "$1" /bench/vmm-run run --kernel /bench/vmlinuz --initrd /bench/initrd.gz
    --append "$linux_append" --cpus "$2" --memory "${linux_memory}M" --disk /tmp/vmm-run.img
    "${@:3}")
}

# emit WORD...: one line of shell.
emit() {
  printf '%q ' "$@"
  printf '\n'
}

# emit_linux_bench REPETITIONS: what runs in the rig.
emit_linux_bench() {
  local -a command measured
  local cpus
  linux_append='console=ttyS0 panic=-1 linger=0'
  emit truncate -s 64M /tmp/qemu.img /tmp/vmm-run.img
  for cpus in 1 2; do
    emit echo "== $cpus vCPUs"
    qemu_command "$cpus" memfd
    emit /bench/compare memory "${command[@]}"
    vmm_run_command vmm-run "$cpus" --backing memfd
    emit /bench/compare memory "${command[@]}"
    qemu_command "$cpus" anonymous
    measured=("${command[@]}")
    vmm_run_command vmm-run "$cpus"
    measured+=(-- "${command[@]}")
    vmm_run_command untracked "$cpus" --tracking-policy never
    emit /bench/compare times "$1" "${measured[@]}" -- "${command[@]}"
  done
}

# bench_linux REPETITIONS WORK-DIRECTORY
bench_linux() {
  require_packages qemu-system-x86 seabios busybox-static cpio
  scripts/rig -- true # fetches the kernel
  swift build -c release -Xswiftc -static-executable --product vmm-run \
    --scratch-path .build-static >/dev/null
  cc -O2 -Wall -static -o "$2/compare" Benchmarks/linux/compare.c
  make_tiny_initramfs "$2/initrd.gz"
  {
    echo 'uname -sr; cat /sys/kernel/mm/transparent_hugepage/enabled'
    # Into the page cache with what they read; their output survives a time-out.
    echo 'cat /usr/bin/qemu-system-x86_64 /bench/* >/dev/null; cd /out'
    emit_linux_bench "$1"
  } >"$2/commands"
  # One CPU: with two, which the rig's QEMU runs in turn on one thread, QEMU in the rig often gets
  # nowhere for minutes.
  scripts/rig --cpus 1 --timeout 3600 --out "$2/out" --script "$2/commands" \
    --file "$2/compare:/bench/compare" --file .build-static/release/vmm-run:/bench/vmm-run \
    --file "$2/initrd.gz:/bench/initrd.gz" \
    --file "${RIG_CACHE:-.build-rig}/kernel/vmlinuz:/bench/vmlinuz" \
    --file "$(command -v qemu-system-x86_64):/usr/bin/qemu-system-x86_64" \
    --file /usr/share/qemu --file /usr/share/seabios
}
