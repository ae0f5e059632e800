# shellcheck shell=bash
# shellcheck disable=SC2034 # archive is for archive.sh, qemu_command for the caller
# The QEMU that runs the rig: always the same, whatever is installed here. Needs packages.sh and
# archive.sh. Sourced, never run.

# By suite, so that it gets its updates. With its libraries, libc and the loader of libraries included: any
# Debian can run it.
rig_qemu_suites=(bookworm bookworm-backports)

# fetch_qemu CACHE: fills CACHE/qemu, unless it is there. Whoever calls it holds the lock of the cache.
fetch_qemu() {
  local archive work suite=${rig_qemu_suites[-1]}
  if [[ $(cat "$1/qemu/suite" 2>/dev/null) == "$suite" ]]; then
    return 0
  fi
  open_archive "$1/archive-qemu" "${rig_qemu_suites[@]}" || return 1
  work=$(mktemp -d "$1/fetch.XXXXXX") || return 1
  if ! unpack_with_libraries "$work" "$suite" qemu-system-x86; then
    rm -rf "$work"
    return 1
  fi
  rm -rf "$work"/usr/share/{doc,locale,man}
  printf '%s\n' "$suite" >"$work/suite"
  rm -rf "$1/qemu" && mv "$work" "$1/qemu"
}

rig_qemu_lock_source=$(dirname -- "${BASH_SOURCE[0]}")/rig-qemu-lock.c

# compile_qemu_lock CACHE: what QEMU is started with to outlive guests that write CR8 (see its source). Whoever
# calls it holds the lock of the cache.
compile_qemu_lock() {
  local library=$1/qemu-lock.so
  if [[ ! -e $library || $library -ot $rig_qemu_lock_source ]]; then
    cc -O2 -shared -fPIC -Wl,-z,now -o "$library.new" "$rig_qemu_lock_source" || return 1
    mv "$library.new" "$library"
  fi
}

# qemu_command CACHE: sets `qemu_command`, which starts QEMU with that library preloaded.
qemu_command() {
  local tree=$1/qemu
  # Libraries are in /lib up to bookworm.
  local libraries=$tree/lib/x86_64-linux-gnu:$tree/usr/lib/x86_64-linux-gnu
  local loader=${libraries##*:}/ld-linux-x86-64.so.2
  if [[ ! -e $loader ]]; then
    loader=${libraries%%:*}/ld-linux-x86-64.so.2
  fi
  qemu_command=(
    "$loader" --inhibit-cache --argv0 qemu-system-x86_64 --library-path "$libraries" --preload "$1/qemu-lock.so"
    "$tree/usr/bin/qemu-system-x86_64" -L "$tree/usr/share/qemu" -L "$tree/usr/share/seabios")
}
