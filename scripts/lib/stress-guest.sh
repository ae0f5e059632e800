# shellcheck shell=bash
# The guest of Tests/StressGuest, for `vmm-run run --kernel`. Needs packages.sh. Sourced, never run.

stress_project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)

# make_stress_guest FILE: builds it there. No libraries are needed, so no 32-bit ones.
make_stress_guest() {
  local source work status=0
  require_packages gcc binutils || return 1
  work=$(mktemp -d) || return 1
  local -a flags=(
    -m32 -std=gnu11 -O2 -Wall -Wextra -Werror -ffreestanding -fno-pic -fno-stack-protector
    -fno-asynchronous-unwind-tables -fcf-protection=none -mgeneral-regs-only -fno-tree-loop-distribute-patterns)
  for source in "$stress_project"/Tests/StressGuest/*.[cS]; do
    gcc "${flags[@]}" -c -o "$work/$(basename -- "$source").o" "$source" || status=1
  done
  # Kernels with a PVH entry are ELF files of 64 bits, whatever their code is.
  if [[ $status -eq 0 ]]; then
    ld -m elf_i386 -nostdlib -static --build-id=none --no-warn-rwx-segments -T "$stress_project/Tests/StressGuest/guest.ld" \
      -o "$work/guest.elf" "$work"/*.o &&
      objcopy -O elf64-x86-64 "$work/guest.elf" "$1" || status=1
  fi
  rm -rf "$work"
  return "$status"
}
