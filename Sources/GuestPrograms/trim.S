// Every vCPU counts in pages of its own, and looks before each write whether what it wrote last is
// still there: for a test that takes memory away under it, which must lose no write.
//
// The test leaves the GPA of the arena at PARAMETERS. vCPU N has page N of each 64 KiB of the
// arena's 4 MiB, and the first word of it. By turns it writes a number and zero, so that at all
// times some pages are zero that have just been, or are about to be, something else.
//
// It leaves there, for each vCPU one 64-bit word:
//
//   64  how often it went through all of its pages
//  128  how often a page did not have what it wrote last
//
// Nothing in here ends the run.

#include "guest_interface.h"

#define PARAMETERS 0x200000
#define ARENA 0
#define PASSES 64
#define LOST 128

#define PAGE_SHIFT 12
#define STRIDE 0x10000
#define PAGES 64

  .section .rodata.guest_trim, "a", @progbits
  .globl guest_trim_start
  .globl guest_trim_end
  .p2align 4
guest_trim_start:
  cld
  mov $PARAMETERS, %ebp
  mov %esi, %r13d
  mov %r13, %r12
  shl $PAGE_SHIFT, %r12
  add ARENA(%rbp), %r12             // the first page
  test %esi, %esi
  jnz 1f
  out %eax, $PORT_START_VCPUS
1:
  // Ring 3, which a KVM without hardware virtualisation does not interpret.
  mov $MSR_STAR, %ecx
  xor %eax, %eax
  mov $STAR_HIGH, %edx
  wrmsr
  lea begin(%rip), %rcx
  mov $RING3_FLAGS, %r11d
  sysretq

begin:
  xor %r8d, %r8d                    // what the pages have
  xor %r9d, %r9d                    // the last number that is not zero
2:
  // The next: a number after zero, zero after a number.
  xor %r10d, %r10d
  test %r8, %r8
  jnz 3f
  inc %r9
  mov %r9, %r10
3:
  mov %r12, %rdi
  mov $PAGES, %ecx
4:
  cmp %r8, (%rdi)
  jne 6f
5:
  mov %r10, (%rdi)
  add $STRIDE, %rdi
  dec %ecx
  jnz 4b
  mov %r10, %r8
  incq PASSES(%rbp, %r13, 8)
  jmp 2b
6:
  incq LOST(%rbp, %r13, 8)
  jmp 5b
guest_trim_end:

  .section .note.GNU-stack, "", @progbits
