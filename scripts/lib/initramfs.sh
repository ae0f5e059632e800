# shellcheck shell=bash
# Sourced, never run.

# pack_initramfs DIRECTORY: the tree as the cpio archive that a kernel unpacks, on standard output. The
# same tree gives the same order.
pack_initramfs() (
  cd "$1" && find . -print0 | LC_ALL=C sort -z | cpio --null --quiet -o -H newc -R 0:0
)
