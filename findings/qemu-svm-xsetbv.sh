#!/usr/bin/env bash
# QEMU 7.2's emulated SVM does not intercept XSETBV.
#
# What one would think: a nested KVM sees every XSETBV of its guest. The instruction is always intercepted
# by VMX, and kvm-amd sets the intercept bit in the VMCB.
# What was seen: QEMU's software emulation of SVM ignores that bit up to 7.2, so XCR0 changes behind KVM's
# back. KVM goes on to report the size of the XSAVE area for the XCR0 that it knows, 576 bytes, and
# Linux as its guest, which knows the right size, warns "XSAVE consistency problem" in each boot. Later
# kernels end with a panic. Guests of a QEMU 7.2 with -accel tcg therefore cannot be trusted with AVX
# state. With QEMU 10.0 in its place the warning is gone.
#
# Versions: QEMU 1:7.2+dfsg-7+deb12u18+b3 (bookworm) and 1:10.0.2+ds-2+deb13u1~bpo12+1
# (bookworm-backports) as the emulator; Linux 6.1.0-50-cloud-amd64 as the nested host and as the guest;
# QEMU 10.0.2 as the monitor within. Seen on 28 November 2026.
#
# Needs Debian 12 or later, 2 GiB of memory and some minutes. Status 0: as described. 1: something is
# different. 2: could not be tried, for example because the archive has other versions by now.
set -euo pipefail

linux=6.1.0-50-cloud-amd64
old='1:7.2+dfsg-7+deb12u18+b3'
new='1:10.0.2+ds-2+deb13u1~bpo12+1'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# --- packages, unpacked and not installed --------------------------------------------------------

mkdir -p lists/partial cache/archives/partial
: >status
cat >sources.list <<'END'
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm-backports main
END
apt=(-qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o Dir::Etc::preferencesparts=/dev/null -o Dir::State::lists="$work/lists"
  -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root
  -o APT::Install-Recommends=false -o Debug::NoLocking=true)

# unpack TREE PACKAGE...: with all that they depend on.
unpack() {
  local tree=$1 package
  shift
  rm -f cache/archives/*.deb
  apt-get "${apt[@]}" -y --download-only install "$@" >log 2>&1 || { cat log && exit 2; }
  mkdir "$tree"
  for package in cache/archives/*.deb; do
    dpkg-deb -x "$package" "$tree"
  done
}

apt-get "${apt[@]}" update >log 2>&1 || { cat log && exit 2; }
unpack old "qemu-system-x86=$old" "qemu-system-common=$old" "qemu-system-data=${old%+b*}"
unpack new -t bookworm-backports "qemu-system-x86=$new" "qemu-system-common=$new" \
  "qemu-system-data=$new"
unpack tools busybox-static cpio
rm -f cache/archives/*.deb
(cd cache/archives && apt-get "${apt[@]}" download "linux-image-$linux") >log 2>&1 ||
  { cat log && exit 2; }
dpkg-deb -x cache/archives/linux-image-*.deb kernel

loader=lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
libraries=lib/x86_64-linux-gnu:usr/lib/x86_64-linux-gnu

# --- the guest's initramfs, and the host's with QEMU in it ---------------------------------------

pack() {
  (cd "$1" && find . | "$work/tools/$loader" --library-path "$work/tools/lib/x86_64-linux-gnu" \
    "$work/tools/bin/cpio" --quiet -o -H newc)
}

mkdir -p guest/{bin,dev} host/{bin,dev,qemu,proc,sys,tmp}
for tree in guest host; do
  cp tools/bin/busybox "$tree/bin/busybox"
done
printf '%s\n' '#!/bin/busybox sh' '/bin/busybox poweroff -f' >guest/init
chmod 755 guest/init
pack guest >host/guest.cpio
cp kernel/boot/vmlinuz-* host/vmlinuz
for module in irqbypass kvm kvm-amd; do
  find kernel -name "$module.ko" -exec cp {} host/ \;
done
qemu=usr/bin/qemu-system-x86_64
(cd new && "./$loader" --library-path "$libraries" --list "$qemu") |
  sed -n 's/.* => \(.*\) (0x.*/\1/p' | while read -r library; do
  (cd new && cp -L --parents "$library" "../host/qemu/")
done
(cd new && cp -rL --parents "$loader" "$qemu" usr/share/seabios usr/share/qemu/linuxboot_dma.bin \
  usr/share/qemu/kvmvapic.bin ../host/qemu/)
cat >host/init <<END
#!/bin/busybox sh
busybox=/bin/busybox
\$busybox mount -t devtmpfs dev /dev
for module in irqbypass kvm kvm-amd; do \$busybox insmod /\$module.ko; done
cd /qemu
\$busybox timeout 900 ./$loader --library-path $libraries $qemu -L usr/share/qemu -L usr/share/seabios \\
  -accel kvm -cpu host -m 512 -nodefaults -no-user-config -no-reboot -display none -serial stdio \\
  -kernel /vmlinuz -initrd /guest.cpio -append 'console=ttyS0 panic=-1' </dev/null 2>&1 |
  \$busybox sed 's/^/guest: /'
\$busybox poweroff -f
END
chmod 755 host/init
pack host >host.cpio

# --- two runs ------------------------------------------------------------------------------------

# boot TREE: what the guest says below that tree's QEMU.
boot() {
  # The accelerator of 7.2 is a module.
  (cd "$1" && QEMU_MODULE_DIR=$work/$1/usr/lib/x86_64-linux-gnu/qemu timeout 1200 "./$loader" --library-path "$libraries" "$qemu" \
    -L usr/share/qemu -L usr/share/seabios -accel tcg,thread=single -cpu EPYC,+svm,+npt -m 2048 \
    -nodefaults -no-user-config -no-reboot -display none -serial stdio \
    -kernel ../host/vmlinuz -initrd ../host.cpio -append 'console=ttyS0 quiet panic=-1') \
    </dev/null 2>&1 | tr -d '\r' >"$1.console" || true
}

# warnings TREE: lines of the guest about it, once the guest is known to have come to its end.
warnings() {
  if ! grep -q '^guest: .*reboot: Power down' "$1.console"; then
    tail -n 20 "$1.console" >&2
    printf '%s: the guest did not get to its power-off\n' "$1" >&2
    exit 2
  fi
  grep -c '^guest: .*XSAVE consistency problem' "$1.console" || true
}

status=0
for tree in old new; do
  (cd "$tree" && "./$loader" --library-path "$libraries" "$qemu" --version | head -n 1)
  boot "$tree"
  grep -h '^guest: .*\(XSAVE consistency\|x86/fpu:\)' "$tree.console" || true
done
found_old=$(warnings old) found_new=$(warnings new)
printf 'lines "XSAVE consistency problem" of the guest: %s below QEMU 7.2, %s below QEMU 10.0\n' \
  "$found_old" "$found_new"
[[ $found_old -gt 0 && $found_new -eq 0 ]] || status=1
exit "$status"
