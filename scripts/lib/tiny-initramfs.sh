# shellcheck shell=bash
# The smallest Linux user space: busybox and an /init. Sourced, never run.

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
  (cd "$tree" && find . -print0 | LC_ALL=C sort -z |
    cpio --null --quiet -o -H newc -R 0:0) | gzip -n >"$1"
  rm -rf "$tree"
}
