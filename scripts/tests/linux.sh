# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # guests is for guests.sh; here, logs, failed, vmm_run: set by scripts/test, report.sh, demo.sh
# Step of scripts/test: Debian's cloud kernels as guests in the rig. Sourced, never run.
#
# What runs is in linux-in-rig.sh, what the guests do in linux-init.sh, what must come of it here.

guest_series=(6.1 6.12 7.3)
# What the source of random numbers needs: before 6.12 virtio was not in the kernel.
guest_random=(virtio-rng)
guest_random_before=(virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio-rng)

# make_guests DIRECTORY: what is taken along into the rig, in DIRECTORY/guest; the disk's files stay in
# DIRECTORY/files. Kernels stay in the rig's cache.
make_guests() {
  local directory=$1 kernel series tree
  local -a modules
  rm -rf "$directory"
  mkdir -p "$directory/files" "$directory/guest"
  for series in "${guest_series[@]}"; do
    modules=("${guest_random[@]}")
    if [[ $series == 6.1 ]]; then modules=("${guest_random_before[@]}"); fi
    get_kernel "$series" button evdev "${modules[@]}" || return 1
    tree=$directory/tree-$series
    mkdir -p "$tree"/{bin,dev,mnt,modules,proc,sys} "$directory/guest/$series"
    cp /bin/busybox "$tree/bin/"
    cp "$kernel"/{button,evdev}.ko "$tree/modules/"
    add_modules "$tree" "$kernel" random "${modules[@]}" || return 1
    install_init "$tree" "$here/tests/linux-init.sh"
    pack_initramfs "$tree" | gzip -1 >"$directory/guest/$series/initrd" || return 1
    cp "$kernel/vmlinuz" "$directory/guest/$series/"
    rm -r "$tree"
  done
  # `ballast` is what the guest removes and trims.
  head -c 2M /dev/urandom >"$directory/files/known"
  head -c 24M /dev/urandom >"$directory/files/ballast"
  # The disk is also a root file system.
  mkdir -p "$directory"/files/{bin,dev,mnt,proc,sys}
  cp /bin/busybox "$directory/files/bin/"
  install_init "$directory/files" "$here/tests/linux-init.sh"
  quietly mke2fs -q -F -t ext4 -b 4096 -N 1024 -m 0 -d "$directory/files" \
    -E root_owner=0:0,lazy_itable_init=0 "$directory/guest/disk.img" 64M
}

# check_told GUEST TEXT: TEXT is one of the lines its /init told.
check_told() {
  if grep -qxF "@ $2" "$out/$1.told"; then
    pass_check "Linux, $1: $2"
  else
    fail_check "Linux, $1: no '$2' in: $(tail -n 20 "$out/$1.told" | tr '\n' ';')"
  fi
}

# check_facts GUEST SERIES CPUS: it came up, found a Hyper-V, and went down by itself.
check_facts() {
  local guest=$1 series=$2 cpus=$3
  check_status "$guest" 0
  check_equal "$guest: kernel" "$(sed -n "s/^@ kernel \($series\)\..*/\1/p" "$out/$guest.told" |
    uniq)" "$series"
  check_told "$guest" "processors $cpus"
  check_told "$guest" "model $(cat "$out/model")"
  check_told "$guest" 'hypervisor Microsoft Hyper-V'
  check_told "$guest" 'clock source hyperv_clocksource_tsc_page'
  check_told "$guest" poweroff
  check_equal "$guest: 0x8001 answered" \
    "$(jq -s 'any(.[]; .code == "0x8001" and .status == 0)' "$out/$guest.trace" 2>&1)" true
  check_messages "$guest"
  check_equal "$guest: lines of summary" \
    "$(grep -cE '^vmm-run: .* zero.*; resident [0-9]' "$out/$guest.stderr")" 1
}

# check_disk GUEST IMAGE: the files are the ones the guest saw.
check_disk() {
  local guest=$1 image=$out/$2 file sum
  check_told "$guest" trimmed
  check_told "$guest" unmounted
  check_told "$guest" "sum known $known  -"
  if e2fsck -fn "$image" >"$out/$2.fsck" 2>&1; then
    pass_check "Linux, $guest: e2fsck finds the file system clean"
  else
    fail_check "Linux, $guest: e2fsck: $(tail -n 5 "$out/$2.fsck")"
  fi
  for file in twice part sparse all; do
    sum=$(sed -n "s|^@ sum made/$file \([0-9a-f]*\)  -\$|\1|p" "$out/$guest.told")
    check_equal "$guest: checksum of made/$file read outside" \
      "$(debugfs -R "cat /made/$file" "$image" 2>/dev/null | sha256sum | cut -d ' ' -f 1)" \
      "${sum:-none}"
  done
}

# check_root: a kernel without an initramfs ran from the disk, and what it wrote is there.
check_root() {
  local sum
  check_facts root 6.12 2
  check_told root 'root ext4 rw'
  check_told root 'read-only now'
  check_equal 'root: e2fsck' "$(e2fsck -fn "$out/root.img" >/dev/null 2>&1; echo $?)" 0
  sum=$(sed -n 's|^@ sum thrice \([0-9a-f]*\)  -$|\1|p' "$out/root.told")
  check_equal 'root: checksum of thrice read outside' \
    "$(debugfs -R 'cat /thrice' "$out/root.img" 2>/dev/null | sha256sum | cut -d ' ' -f 1)" \
    "${sum:-none}"
}

# check_count: what the guest had synchronised when its machine was killed is on the disk.
check_count() {
  local told image=$out/count.img found
  check_status count 137
  # Only a whole line counts as told.
  told=$(sed -n 's/^@ counted \([0-9]*\)$/\1/p' "$out/count.told" | tail -n 1)
  e2fsck -p "$image" >"$out/count.fsck" 2>&1
  check_equal 'count: e2fsck after its journal replay' \
    "$(e2fsck -fn "$image" >/dev/null 2>&1; echo $?)" 0
  found=$(debugfs -R 'cat /counter' "$image" 2>/dev/null | tail -n 1)
  if [[ ${told:-0} -ge 20 && $((10#${found:-0})) -ge $told ]]; then
    pass_check "Linux, count: killed after $told, on the disk $((10#$found))"
  else
    fail_check "Linux, count: told ${told:-nothing}, on the disk ${found:-nothing}"
  fi
}

# check_random GUEST: its source of random numbers is the device, and gives them.
check_random() {
  check_told "$1" 'random numbers virtio_rng.0 by virtio-pci'
  check_told "$1" 'random bytes 16384, of 256 kinds'
}

run_linux_in_rig() {
  local rig_status=0 guests=Linux out=$logs/linux/out before=$failed console known
  make_guests "$logs/linux" || return 1
  known=$(sha256sum <"$logs/linux/files/known" | cut -d ' ' -f 1)
  # One CPU: with two, QEMU's emulation of nested SVM hangs or corrupts guests of two vCPUs now and
  # then, those of QEMU as the monitor in the rig as well (docs/testing.md).
  logged linux-in-rig "$here/rig" --timeout 1800 --cpus 1 --out "$out" \
    --file "$vmm_run:/usr/bin/vmm-run" --file "$logs/linux/guest:/guest" \
    --file /bin/cp:/usr/bin/sparse-cp --file "$logs/linux/guest/disk.img:/guest/same.img" \
    --script "$here/tests/linux-in-rig.sh" || rig_status=$?
  if [[ $rig_status -ne 0 ]]; then
    fail_check "Linux guests in the rig: exit status $rig_status"
  fi
  for console in "$out"/*.console; do
    tr -d '\r' <"$console" | grep '^@ ' >"${console%.console}.told"
  done

  check_facts 6.12-1 6.12 1
  check_facts 6.12-2 6.12 2
  check_facts 6.1-1 6.1 1
  check_facts 6.1-2 6.1 2
  check_facts 7.3-1 7.3 1
  check_facts 7.3-2 7.3 2

  check_random 6.12-1
  check_random 6.1-1
  check_random 7.3-1

  check_disk 6.12-2 disk-6.12.img
  check_disk 6.1-1 disk-6.1.img
  check_disk 7.3-2 disk-7.3.img
  local freed=$((($(cat "$out/blocks-before") - $(cat "$out/blocks-after")) / 2048))
  if [[ $freed -ge 16 ]]; then
    pass_check "Linux, 6.12-2: trimming freed $freed MiB of the image"
  else
    fail_check "Linux, 6.12-2: trimming freed only $freed MiB of the image"
  fi

  check_told 6.1-1 "sum read-only $known  -"
  check_equal 'read-only disk: what could be done to it' \
    "$(grep -cxE '@ (written|not mounted|made a file|mounted for writing)' "$out/6.1-1.told")" 0
  check_equal 'read-only disk: changes' "$(cat "$out/read-only.cmp")" ''

  check_equal '6.1-2: one reset, one power-off' \
    "$(grep -xE '@ (reboot|poweroff)' "$out/6.1-2.told" | tr -d '\n')" '@ reboot@ poweroff'
  check_status reset 0
  check_told reset reboot
  check_count
  check_root

  check_equal 'the sandbox: no_new_privs and mode of seccomp of all threads' \
    "$(cut -d ' ' -f 1,2 "$out/button.threads" | sort -u)" '1 2'
  # KVM adds a thread of its own, which never leaves the kernel.
  check_equal 'the sandbox: a vCPU and four threads of a disk, at least, have a list of their own' \
    "$(($(grep -c '^1 2 2 $' "$out/button.threads") >= 5))" 1
  check_told button pressed
  check_status button 0
  check_status deaf 143

  check_refused locked 'button\.img.*(use|lock)'
  check_refused no-kernel '/guest/nothing.*ENOENT'
  check_refused short-kernel short
  check_refused head-of-kernel head
  check_refused large-initrd 'initrd'
  check_refused odd-disk 'odd.*1000'
  check_refused no-disk '/images/nothing.*No such file'

  if [[ $failed -eq $before ]]; then
    rm -rf "$logs/linux/guest" "$logs/linux/files" "$out"/*.img
  else
    cat "$logs/linux-in-rig.log"
  fi
}

# With a newer kernel as the host; the guest too.
run_linux_in_new_rig() {
  local boots=$logs/linux-new-rig.log
  logged linux-new-rig "$here/boot-many" --kernel 7.3 --series 7.3 --boots 2 --cpus 1,2 \
    --limit 400 --out "$logs/linux-new-rig" || return 1
  pass_check "Linux, host 7.3: $(tail -n 1 "$boots")"
}
