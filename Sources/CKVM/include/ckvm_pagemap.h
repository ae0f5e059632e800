// PAGEMAP_SCAN (Linux 6.7) and the userfaultfd features it is used with. Debian 12's headers are
// older than the kernels this runs on, so the kernel's values stand here under #ifndef; whoever
// uses them asks the running kernel first.
#pragma once

#include "ckvm.h"

#include <linux/fs.h>
#include <linux/sysinfo.h>
#include <linux/userfaultfd.h>
#include <stdint.h>

#ifndef PAGEMAP_SCAN
#define PAGE_IS_WPALLOWED (1 << 0)
#define PAGE_IS_WRITTEN (1 << 1)
#define PAGE_IS_FILE (1 << 2)
#define PAGE_IS_PRESENT (1 << 3)
#define PAGE_IS_SWAPPED (1 << 4)
#define PAGE_IS_PFNZERO (1 << 5)
#define PAGE_IS_HUGE (1 << 6)

struct page_region {
  __u64 start;
  __u64 end;
  __u64 categories;
};

struct pm_scan_arg {
  __u64 size;
  __u64 flags;
  __u64 start;
  __u64 end;
  __u64 walk_end;
  __u64 vec;
  __u64 vec_len;
  __u64 max_pages;
  __u64 category_inverted;
  __u64 category_mask;
  __u64 category_anyof_mask;
  __u64 return_mask;
};

#define PM_SCAN_WP_MATCHING (1 << 0)
#define PM_SCAN_CHECK_WPASYNC (1 << 1)
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#endif

#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

_Static_assert(sizeof(struct uffdio_api) == 24, "userfaultfd ABI");
_Static_assert(sizeof(struct uffdio_register) == 32, "userfaultfd ABI");
_Static_assert(sizeof(struct uffdio_writeprotect) == 24, "userfaultfd ABI");
_Static_assert(sizeof(struct page_region) == 24, "pagemap ABI");
_Static_assert(sizeof(struct pm_scan_arg) == 96, "pagemap ABI");

static const unsigned long CKVM_PAGEMAP_SCAN = PAGEMAP_SCAN;

// Request on /dev/userfaultfd (Linux 6.1): a new userfaultfd without the system call.
static const unsigned long CKVM_USERFAULTFD_IOC_NEW = USERFAULTFD_IOC_NEW;

// Requests on a userfaultfd.
static const unsigned long CKVM_UFFDIO_API = UFFDIO_API;
static const unsigned long CKVM_UFFDIO_REGISTER = UFFDIO_REGISTER;
static const unsigned long CKVM_UFFDIO_UNREGISTER = UFFDIO_UNREGISTER;
static const unsigned long CKVM_UFFDIO_WRITEPROTECT = UFFDIO_WRITEPROTECT;

// Built with casts and shifts, which the importer skips.
static const uint64_t CKVM_UFFD_API = UFFD_API;
static const uint64_t CKVM_UFFDIO_REGISTER_MODE_WP = UFFDIO_REGISTER_MODE_WP;
static const uint64_t CKVM_UFFDIO_WRITEPROTECT_MODE_WP = UFFDIO_WRITEPROTECT_MODE_WP;
static const uint64_t CKVM_UFFDIO_ZEROPAGE_BIT = (uint64_t)1 << _UFFDIO_ZEROPAGE;
static const uint64_t CKVM_UFFD_FEATURE_PAGEFAULT_FLAG_WP = UFFD_FEATURE_PAGEFAULT_FLAG_WP;
static const uint64_t CKVM_UFFD_FEATURE_WP_HUGETLBFS_SHMEM = UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
static const uint64_t CKVM_UFFD_FEATURE_WP_UNPOPULATED = UFFD_FEATURE_WP_UNPOPULATED;
static const uint64_t CKVM_UFFD_FEATURE_WP_ASYNC = UFFD_FEATURE_WP_ASYNC;
static const int CKVM_UFFD_USER_MODE_ONLY = UFFD_USER_MODE_ONLY;
static const uint64_t CKVM_PAGE_IS_WRITTEN = PAGE_IS_WRITTEN;
static const uint64_t CKVM_PAGE_IS_PRESENT = PAGE_IS_PRESENT;
static const uint64_t CKVM_PAGE_IS_SWAPPED = PAGE_IS_SWAPPED;
static const uint64_t CKVM_PAGE_IS_PFNZERO = PAGE_IS_PFNZERO;
static const uint64_t CKVM_PAGE_IS_HUGE = PAGE_IS_HUGE;
static const uint64_t CKVM_PM_SCAN_CHECK_WPASYNC = PM_SCAN_CHECK_WPASYNC;

// The C library has no function for it.
static inline int ckvm_userfaultfd(int flags) { return (int)syscall(__NR_userfaultfd, flags); }

// <sys/sysinfo.h> is in no Swift module.
int sysinfo(struct sysinfo *_Nonnull information);
static inline int ckvm_sysinfo(struct sysinfo *_Nonnull information) {
  return sysinfo(information);
}
