# shellcheck shell=dash
# Sourced inside the rig: the QEMU that runs the rig, which came with its own libraries.

# run_qemu OPTION...: becomes a QEMU with the machine and the enlightenments that vmm-run's guests have, and these.
run_qemu() {
  libraries=/qemu/lib/x86_64-linux-gnu:/qemu/usr/lib/x86_64-linux-gnu
  loader=/qemu/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
  [ -e $loader ] || loader=/qemu/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
  hyperv=hv-relaxed,hv-vapic,hv-vpindex,hv-runtime,hv-crash,hv-time,hv-reset,hv-frequencies,hv-synic,hv-stimer
  hyperv=$hyperv,hv-tlbflush,hv-ipi
  exec $loader --inhibit-cache --argv0 qemu-system-x86_64 --library-path $libraries \
    /qemu/usr/bin/qemu-system-x86_64 -L /qemu/usr/share/qemu -L /qemu/usr/share/seabios -accel kvm \
    -machine q35,hpet=off -cpu "host,kvm=off,$hyperv" -smp 1 -nodefaults -no-user-config -no-reboot -nographic "$@"
}

# As far as it is read from a file, it is in memory.
cat /qemu/usr/bin/qemu-system-x86_64 >/dev/null
