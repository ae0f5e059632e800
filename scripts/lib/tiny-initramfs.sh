# shellcheck shell=bash
# The smallest Linux user space: busybox and an /init. Sourced, never run; needs initramfs.sh.

# make_tiny_initramfs FILE: an initramfs that says "user space reached", sleeps as many seconds as
# linger= on the kernel's command line says (5) and powers off. Needs busybox-static and cpio.
make_tiny_initramfs() {
  local tree
  tree=$(mktemp -d)
  mkdir -p "$tree"/{bin,dev,proc,sys}
  cp /bin/busybox "$tree/bin/busybox"
  # The kernel hands NAME=VALUE that it does not know to init as an environment variable.
  cat >"$tree/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox echo 'user space reached'
/bin/busybox sleep "${linger:-5}"
/bin/busybox poweroff -f
INIT
  chmod 755 "$tree/init"
  pack_initramfs "$tree" | gzip -n >"$1"
  rm -rf "$tree"
}
