#!/usr/bin/env bash
# One write after MADV_DONTNEED counts as 512 written pages, since Linux 6.14.
#
# What one would think: userfaultfd's asynchronous write protection (UFFD_FEATURE_WP_ASYNC) and PAGEMAP_SCAN
# note written pages of 4 KiB. Pages that are dropped and written again are noted one by one, as their
# page table is there already and no huge page can take its place.
# What was seen: that holds in 6.12. Since 6.14 the kernel frees the page table with the last of its pages
# (PT_RECLAIM). With transparent_hugepage=always, Debian's default, the next write gets a huge page, which is
# not write-protected: PAGEMAP_SCAN names all of its 512 pages. Who tracks memory by it sees far more written
# than was, though never less. MADV_NOHUGEPAGE for the memory keeps it exact.
#
# Versions: Linux 6.12.107+deb13 (trixie): 1 page; 7.3.4+deb13 (trixie-backports): 512 pages, and 1 with
# MADV_NOHUGEPAGE. 6.16.12 and 7.2.12 are as 7.3.4. Both boot in QEMU 10.0.2 (bookworm-backports), TCG. Seen
# on 28 November 2026.
#
# Needs Debian 12 or later with gcc and libc6-dev, and some minutes. Status 0: as described. 1: something is
# different. 2: could not be tried, for example because the archive has other versions by now.
set -euo pipefail

old=6.12.107+deb13-cloud-amd64
new=7.3.4+deb13-cloud-amd64
qemu_version='1:10.0.2+ds-2+deb13u1~bpo12+1'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# --- packages, unpacked and not installed --------------------------------------------------------

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# use SUITE...: sets `apt`.
use() {
  rm -rf lists cache
  mkdir -p lists/partial cache/archives/partial
  : >status
  printf "deb [arch=amd64 signed-by=$keyring] http://deb.debian.org/debian %s main\n" "$@" >sources.list
  apt=(-qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::preferencesparts=/dev/null -o Dir::State::lists="$work/lists"
    -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root
    -o APT::Install-Recommends=false -o Debug::NoLocking=true)
  apt-get "${apt[@]}" update >log 2>&1 || { cat log && exit 2; }
}

use trixie trixie-backports
for package in "linux-image-$old" "linux-binary-$new"; do
  (cd cache/archives && apt-get "${apt[@]}" download "$package") >log 2>&1 || { cat log && exit 2; }
  dpkg-deb -x cache/archives/"$package"_*.deb kernels
done
use bookworm bookworm-backports
apt-get "${apt[@]}" -y --download-only install -t bookworm-backports cpio \
  "qemu-system-x86=$qemu_version" >log 2>&1 || { cat log && exit 2; }
for package in cache/archives/*.deb; do
  dpkg-deb -x "$package" tree
done
libraries=$work/tree/lib/x86_64-linux-gnu:$work/tree/usr/lib/x86_64-linux-gnu
load=("$work/tree/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --library-path "$libraries")

# --- a program as the only process ---------------------------------------------------------------

mkdir initramfs
cat >init.c <<'END'
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As in <linux/userfaultfd.h> and <linux/fs.h> of Linux 6.7, which Debian 12 does not have. */
struct api { uint64_t api, features, ioctls; };
struct reg { uint64_t start, length, mode, ioctls; };
struct protect { uint64_t start, length, mode; };
struct region { uint64_t start, end, categories; };
struct scan {
  uint64_t size, flags, start, end, walk_end, regions, region_count, max_pages, inverted, all, any, result;
};
enum { written = 2, present_or_swapped = 8 + 16, wp_async = 1 << 15, wp_unpopulated = 1 << 13 };

static void check(int failed, const char *what) {
  if (failed) perror(what);
}

/* Pages that count as written after all of the 2 MiB were dropped and one byte was written again. */
static int written_pages(int advice) {
  const size_t length = 2 << 20;
  char *area = mmap(NULL, 2 * length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  area = (char *)(((uintptr_t)area + length - 1) & -length);
  if (advice) check(madvise(area, length, advice), "madvise");
  int uffd = syscall(SYS_userfaultfd, 0);
  struct api api = {0xAA, wp_async | wp_unpopulated, 0};
  check(ioctl(uffd, _IOWR(0xAA, 0x3F, struct api), &api), "UFFDIO_API");
  struct reg reg = {(uintptr_t)area, length, 2, 0};
  check(ioctl(uffd, _IOWR(0xAA, 0, struct reg), &reg), "UFFDIO_REGISTER");
  struct protect protect = {(uintptr_t)area, length, 1};
  check(ioctl(uffd, _IOWR(0xAA, 6, struct protect), &protect), "UFFDIO_WRITEPROTECT");
  area[0] = area[100 * 4096] = 1;
  check(madvise(area, length, MADV_DONTNEED), "MADV_DONTNEED");
  area[100 * 4096] = 1;
  struct region regions[512];
  struct scan scan = {.size = sizeof scan, .start = (uintptr_t)area, .end = (uintptr_t)area + length,
    .regions = (uintptr_t)regions, .region_count = 512, .all = written, .any = present_or_swapped,
    .result = written};
  int pagemap = open("/proc/self/pagemap", O_RDONLY);
  int count = ioctl(pagemap, _IOWR('f', 16, struct scan), &scan), pages = 0;
  check(count < 0, "PAGEMAP_SCAN");
  for (int i = 0; i < count; i++) pages += (regions[i].end - regions[i].start) / 4096;
  return pages;
}

int main(void) {
  mkdir("/proc", 0755);
  check(mount("proc", "/proc", "proc", 0, NULL), "mount");
  printf("result %d %d\n", written_pages(0), written_pages(MADV_NOHUGEPAGE));
  fflush(stdout);
  reboot(RB_POWER_OFF);
}
END
gcc -O1 -Wall -static -o initramfs/init init.c || exit 2
(cd initramfs && echo init | "${load[@]}" ../tree/bin/cpio --quiet -o -H newc >../initramfs.cpio)

# boot KERNEL: prints the two counts.
boot() {
  timeout 600 "${load[@]}" tree/usr/bin/qemu-system-x86_64 -L tree/usr/share/qemu \
    -L tree/usr/share/seabios -accel tcg,thread=single -cpu EPYC -m 1024 -nodefaults -no-user-config \
    -no-reboot -display none -serial stdio -kernel "$1" -initrd initramfs.cpio \
    -append 'console=ttyS0 quiet panic=-1 transparent_hugepage=always' </dev/null >console 2>&1 || true
  if ! tr -d '\r' <console | sed -n 's/^result //p' | grep .; then
    cat console >&2
    exit 2
  fi
}

"${load[@]}" tree/usr/bin/qemu-system-x86_64 --version | head -n 1
found_old=$(boot "kernels/boot/vmlinuz-$old")
found_new=$(boot "kernels/usr/lib/modules/$new/vmlinuz")
printf 'written pages after MADV_DONTNEED and one write, plain and with MADV_NOHUGEPAGE:\n'
printf '  Linux %s: %s\n' "$old" "$found_old" "$new" "$found_new"
[[ $found_old == '1 1' && $found_new == '512 1' ]]
