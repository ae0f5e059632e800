# shellcheck shell=bash
# Sourced, never run.

# pack_initramfs DIRECTORY: the tree as the cpio archive that a kernel unpacks, on standard output. The
# same tree gives the same order.
pack_initramfs() (
  cd "$1" && find . -print0 | LC_ALL=C sort -z | cpio --null --quiet -o -H newc -R 0:0
)

# take_program TREE PROGRAM: a program of this machine and the libraries that ldd finds for it, at their
# paths in a tree.
take_program() {
  local file
  while read -r file; do
    mkdir -p -- "$1$(dirname -- "$file")"
    cp -L --preserve=mode -- "$file" "$1$file"
  done < <(
    printf '%s\n' "$2"
    ldd "$2" | sed -n 's|^\(.* => \)\?[[:space:]]*\(/[^ ]*\) (0x.*|\2|p'
  )
}

# add_modules TREE KERNEL LIST MODULE...: modules of the kernel in this directory, for `insert LIST` of
# guest-init.sh.
add_modules() {
  local tree=$1 kernel=$2 list=$3 module
  shift 3
  mkdir -p "$tree/modules"
  for module in "$@"; do cp "$kernel/$module.ko" "$tree/modules/" || return 1; done
  printf '%s\n' "$@" >"$tree/modules/$list"
}

# install_init TREE SCRIPT: a test guest's /init, and beside it guest-init.sh of the same directory, with which
# it begins.
install_init() {
  install -m 755 "$2" "$1/init" &&
    install -m 644 "$(dirname -- "$2")/guest-init.sh" "$1/"
}
