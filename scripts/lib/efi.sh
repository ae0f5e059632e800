# shellcheck shell=bash
# UEFI programs and disks that UEFI firmware boots from, made without root and without mounting. Needs
# packages.sh. Sourced, never run.

efi_project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)

# make_efi_client FILE: Tests/EFIClient as a UEFI application.
make_efi_client() {
  local work status=0
  require_packages gcc binutils libc6-dev gnu-efi || return 1
  work=$(mktemp -d) || return 1
  build_efi_client "$work" && cp "$work/client.efi" "$1" || status=1
  rm -rf "$work"
  return "$status"
}

# build_efi_client DIRECTORY: leaves client.efi there.
build_efi_client() {
  local source
  local -a objects=()
  # -fshort-wchar: CHAR16 strings. No red zone: interrupts of firmware use the current stack.
  local -a flags=(
    -std=gnu11 -O2 -Wall -Wextra -Werror -DGNU_EFI_USE_MS_ABI
    -isystem /usr/include/efi -isystem /usr/include/efi/x86_64
    -ffreestanding -fpic -fshort-wchar -mno-red-zone -fno-stack-protector -fcf-protection=none
    -fno-asynchronous-unwind-tables)
  for source in "$efi_project"/Tests/EFIClient/*.c; do
    objects+=("$1/$(basename -- "$source" .c).o")
    gcc "${flags[@]}" -c -o "${objects[-1]}" "$source" || return 1
  done
  ld -nostdlib -shared -Bsymbolic -znocombreloc -znoexecstack -zdefs --no-warn-rwx-segments \
    -T /usr/lib/elf_x86_64_efi.lds -o "$1/client.so" \
    /usr/lib/crt0-efi-x86_64.o "${objects[@]}" -L /usr/lib -lefi -lgnuefi || return 1
  # gnu-efi's start code relocates the image by these ELF tables; PE is only the wrapping.
  objcopy -j .text -j .sdata -j .data -j .dynamic -j .dynsym -j '.rel*' -j .reloc \
    --output-target=efi-app-x86_64 --subsystem=10 "$1/client.so" "$1/client.efi"
}

# --- disks ---------------------------------------------------------------------------------------

# Fixed, so that the same input gives the same disk, and a test can name them.
efi_disk_uuid=5d1e7f6a-2f0c-4c53-9d0e-0b6a1f0c0001
efi_esp_partuuid=5d1e7f6a-2f0c-4c53-9d0e-0b6a1f0c0002
efi_root_partuuid=5d1e7f6a-2f0c-4c53-9d0e-0b6a1f0c0003
efi_root_uuid=5d1e7f6a-2f0c-4c53-9d0e-0b6a1f0c0004

# In MiB. The first one holds the GPT, the last one its backup.
efi_esp_start=1
efi_grub_esp_size=48

# partition_disk IMAGE ESP-MIB [ROOT-MIB]: a GPT on IMAGE, which has its size already.
partition_disk() {
  {
    printf 'label: gpt\nlabel-id: %s\n' "$efi_disk_uuid"
    printf 'start=%dMiB, size=%dMiB, type=uefi, uuid=%s, name=ESP\n' \
      "$efi_esp_start" "$2" "$efi_esp_partuuid"
    if [[ $# -eq 3 ]]; then
      printf 'start=%dMiB, size=%dMiB, type=linux, uuid=%s, name=root\n' \
        "$((efi_esp_start + $2))" "$3" "$efi_root_partuuid"
    fi
  } | quietly_from_stdin sfdisk --quiet --no-reread --no-tell-kernel "$1"
}

# As `quietly`, for commands that read their standard input.
quietly_from_stdin() {
  local output status=0
  output=$("$@" 2>&1) || status=$?
  if [[ $status -ne 0 ]]; then
    printf '%s\n' "$output" >&2
  fi
  return "$status"
}

# fill_esp IMAGE ESP-MIB SOURCE:TARGET...: makes the FAT32 file system and the files with their
# directories.
fill_esp() {
  local image=$1@@${efi_esp_start}M size=$2 pair target directory parent
  # The time that files get; FAT has no years before 1980.
  local -x SOURCE_DATE_EPOCH=1672531200 TZ=UTC MTOOLS_SKIP_CHECK=1
  local -A made=()
  shift 2
  # One sector per cluster: FAT32 must have at least 65525 of them, which 33 MiB give.
  quietly mformat -i "$image" -F -c 1 -T "$((size * 2048))" -h 255 -s 63 \
    -H "$((efi_esp_start * 2048))" -N 56724d52 -v ESP :: || return 1
  for pair in "$@"; do
    target=${pair##*:}
    directory=$(dirname -- "$target")
    parent=''
    while IFS= read -r -d / part; do
      [[ -n $part ]] || continue
      parent+=/$part
      [[ -z ${made[$parent]-} ]] || continue
      quietly mmd -i "$image" "::$parent" || return 1
      made[$parent]=1
    done <<<"$directory/"
    quietly mcopy -i "$image" "${pair%:*}" "::$target" || return 1
  done
}

# make_esp_disk IMAGE SIZE SOURCE:TARGET...: a disk of SIZE (as truncate has it, 64M or more) that is one
# EFI system partition with these files, e.g. client.efi:/EFI/BOOT/BOOTX64.EFI.
make_esp_disk() {
  local image=$1 size=$2 esp_size
  shift 2
  require_packages fdisk mtools || return 1
  rm -f "$image" && truncate -s "$size" "$image" || return 1
  esp_size=$(($(stat -c %s "$image") / 1048576 - efi_esp_start - 1))
  if [[ $esp_size -lt 34 ]]; then
    printf 'make_esp_disk: %s is too small for FAT32; 36M or more\n' "$size" >&2
    return 1
  fi
  partition_disk "$image" "$esp_size" && fill_esp "$image" "$esp_size" "$@"
}

# make_grub_cd ISO DISC KERNEL-LINE INITRD: a CD of the files of DISC, from which GRUB starts Linux at once.
make_grub_cd() {
  mkdir -p "$2/boot/grub"
  printf '%s\n' 'serial --unit=0 --speed=115200' 'terminal_input serial' 'terminal_output serial' \
    'echo GRUB from the CD' "linux $3" "initrd $4" boot >"$2/boot/grub/grub.cfg"
  quietly grub-mkrescue -d /usr/lib/grub/x86_64-efi -o "$1" "$2"
}

# make_efi_cd ISO PROGRAM: a CD that firmware starts this program from (El Torito).
make_efi_cd() {
  local work status=0
  require_packages xorriso mtools || return 1
  work=$(mktemp -d) || return 1
  truncate -s 2M "$work/efi.img"
  {
    quietly mformat -i "$work/efi.img" -v EFI :: &&
      quietly mmd -i "$work/efi.img" ::/EFI ::/EFI/BOOT &&
      quietly mcopy -i "$work/efi.img" "$2" ::/EFI/BOOT/BOOTX64.EFI &&
      quietly xorriso -as mkisofs -o "$1" -e efi.img -no-emul-boot "$work"
  } || status=1
  rm -rf "$work"
  return "$status"
}

# make_grub FILE [APPEND]: GRUB as a UEFI application that boots /boot/vmlinuz of the root file system at
# once: as the UEFI application that it is, so that it takes over the log of what firmware measured.
make_grub() {
  local work status=0
  local append="rootfstype=ext4 rootwait rw console=ttyS0 panic=-1 init=/init ${2-}"
  # mkimage's configuration is read without `normal`: plain commands, no menu and so no time-out.
  local -a modules=(boot chain ext2 fat part_gpt search search_fs_uuid serial terminal)
  work=$(mktemp -d) || return 1
  cat >"$work/grub.cfg" <<END
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
search --fs-uuid --set=root $efi_root_uuid
chainloader /boot/vmlinuz root=PARTUUID=$efi_root_partuuid $append
boot
END
  quietly grub-mkimage -O x86_64-efi -p /EFI/BOOT -c "$work/grub.cfg" -o "$1" "${modules[@]}" ||
    status=1
  rm -rf "$work"
  return "$status"
}

# make_uefi_root TREE [MODULE-FILE...]: fills the new directory TREE with busybox, kernel modules and
# scripts/tests/uefi-init.sh as /init.
make_uefi_root() {
  local tree=$1
  shift
  require_packages busybox-static || return 1
  mkdir -p "$tree"/{bin,boot,dev,modules,proc,run,sys} || return 1
  cp /bin/busybox "$tree/bin/" || return 1
  if [[ $# -gt 0 ]]; then
    cp -- "$@" "$tree/modules/" || return 1
  fi
  install_init "$tree" "$efi_project/scripts/tests/uefi-init.sh"
}

# make_grub_disk IMAGE KERNEL ROOT-TREE [APPEND]: a disk with an EFI system partition, where GRUB is, and
# an ext4 partition with the files of ROOT-TREE and KERNEL as /boot/vmlinuz. APPEND ends the kernel's
# command line. ROOT-TREE gets the kernel too.
make_grub_disk() {
  local image=$1 kernel=$2 tree=$3 root_size root_start options work status=0
  require_packages fdisk mtools e2fsprogs grub-common grub-efi-amd64-bin || return 1
  mkdir -p "$tree/boot" && cp -- "$kernel" "$tree/boot/vmlinuz" || return 1
  # Room for what the guest writes.
  root_size=$(($(du -sm --apparent-size -- "$tree" | cut -f 1) + 64))
  root_start=$((efi_esp_start + efi_grub_esp_size))
  rm -f "$image" && truncate -s "$((root_start + root_size + 1))M" "$image" || return 1
  partition_disk "$image" "$efi_grub_esp_size" "$root_size" || return 1
  # A second -E would replace the first one.
  options=offset=$((root_start * 1048576)),hash_seed=$efi_root_uuid
  options+=,root_owner=0:0,lazy_itable_init=0
  work=$(mktemp -d) || return 1
  # GRUB 2.06 refuses file systems with the features that are switched off here.
  make_grub "$work/grub.efi" "${4-}" &&
    fill_esp "$image" "$efi_grub_esp_size" "$work/grub.efi:/EFI/BOOT/BOOTX64.EFI" &&
    quietly mke2fs -q -F -t ext4 -b 4096 -m 0 -L root -U "$efi_root_uuid" \
      -O '^metadata_csum_seed,^orphan_file' -d "$tree" \
      -E "$options" "$image" "${root_size}M" || status=1
  rm -rf "$work"
  return "$status"
}
