// A guest that treats memory at boot as Windows does: it asks the hypervisor which pages are zeroed
// since boot, zeroes all other free memory on all vCPUs, and then reads every reported page to see
// whether the answer was true.
//
// Ring 0 does only what needs ring 0 (MSRs, hypercalls), because a KVM without hardware
// virtualisation interprets it; the long loops run in ring 3, natively, with IOPL 3 for `out`.
//
// Ring 3 uses no stack. A stack page nobody has written may truly be reported as zeroed; a push
// after the report would then look like a wrong report.

#include "guest_interface.h"

#define KEY_CAPABILITIES 1
#define KEY_CAPABILITIES_RESULT 2
#define KEY_ZEROED_RESULT 3
#define KEY_RANGE_COUNT 4
#define KEY_PAGES_READ 5
#define KEY_PHASE 6
#define KEY_BYTES_ZEROED 7
#define KEY_NONZERO_PAGES 8
#define KEY_FAILURE 10
#define KEY_PRIVILEGES_HIGH 11

#define PHASE_ZEROING 1
#define PHASE_ZEROED 2
#define PHASE_VERIFIED 3

#define FAILURE_NO_HYPERVISOR 1
#define FAILURE_NO_HYPERCALL_PAGE 2
#define FAILURE_TOO_MANY_RANGES 3
#define FAILURE_BOOT_INFO 4

#define PAGE_SHIFT 12
#define WORDS_PER_PAGE_SHIFT 9
#define WORDS_PER_PAGE 512
// 2 MiB: large enough for `rep stosq`, small enough to share the work evenly.
#define PAGES_PER_ITEM 512

#define MAX_REPORTED 255
#define MAX_BOOT_RANGES 256
// Two sorted lists of disjoint ranges cut each other into at most this many pieces.
#define MAX_PIECES (MAX_REPORTED + MAX_BOOT_RANGES + 64)

// 16 pages: enough to break memory into pieces; each may cost the host a 2 MiB huge page.
#define SCATTERED_PAGES_SHIFT 4
#define SCATTERED_PAGES (1 << SCATTERED_PAGES_SHIFT)
#define SCRIBBLE 0x5AC1BB1E5AC1BB1E

// Reports a 64-bit register or immediate. Clobbers RAX.
.macro report key, value
  mov \value, %rax
  out %eax, $PORT_REPORT_LOW
  shr $32, %rax
  out %eax, $PORT_REPORT_HIGH
  mov $\key, %eax
  out %eax, $PORT_REPORT_KEY
.endm

// Waits until every vCPU has come here. RBP = boot info. Clobbers RAX.
.macro barrier arrived
  lock incl \arrived(%rip)
1:
  mov \arrived(%rip), %eax
  cmp BOOT_VCPU_COUNT(%rbp), %eax
  jae 2f
  pause
  jmp 1b
2:
.endm

// Waits until vCPU 0 has set a flag.
.macro wait_for flag
1:
  cmpl $0, \flag(%rip)
  jne 2f
  pause
  jmp 1b
2:
.endm

  .section .rodata.guest_demo, "a", @progbits
  .globl guest_demo_start
  .globl guest_demo_end
  // The image is copied to a page boundary; pages inside it are aligned only if it is here as well.
  .p2align 12
guest_demo_start:
  cld
  mov %rdi, %rbp
  mov %esi, %r15d
  test %esi, %esi
  jnz enter_ring3

// Is this a hypervisor to talk to?

  mov $BOOT_MAGIC, %rax
  mov $FAILURE_BOOT_INFO, %ebx
  cmp %rax, BOOT_MAGIC_OFFSET(%rbp)
  jne fail
  cmpl $MAX_BOOT_RANGES, BOOT_RANGE_COUNT(%rbp)
  ja fail

  mov $1, %eax
  xor %ecx, %ecx
  cpuid
  test $0x80000000, %ecx
  jz no_hypervisor
  mov $0x40000000, %eax
  xor %ecx, %ecx
  cpuid
  cmp $0x40000003, %eax
  jb no_hypervisor
  mov $0x40000001, %eax
  xor %ecx, %ecx
  cpuid
  cmp $0x31237648, %eax             // "Hv#1"
  jne no_hypervisor
  mov $0x40000003, %eax
  xor %ecx, %ecx
  cpuid
  mov %ebx, %r12d                   // bit 20: EnableExtendedHypercalls
  report KEY_PRIVILEGES_HIGH, %r12

// The lists below are still zero, and pages of zeros may truly be reported, written or not. They
// change after the report, which would then look wrong: so something is put there before. The
// counters share their pages with code or lists.

  mov $SCRIBBLE, %rax
  lea reported(%rip), %rdi
  lea hypercall_page(%rip), %rcx
  sub %rdi, %rcx
  shr $3, %rcx
  rep stosq

// Write to free memory as firmware does before the system starts. These pages must not be reported.

  mov BOOT_RANGE_COUNT(%rbp), %ecx
  lea BOOT_RANGES(%rbp), %rsi
  xor %r8d, %r8d                    // pages of the largest conventional range
  xor %r9d, %r9d                    // its first page
  xor %r10d, %r10d                  // conventional pages in all
1:
  test %ecx, %ecx
  jz 3f
  cmpq $BOOT_TYPE_CONVENTIONAL, BOOT_RANGE_TYPE(%rsi)
  jne 2f
  mov BOOT_RANGE_PAGES(%rsi), %rax
  add %rax, %r10
  cmp %r8, %rax
  jbe 2f
  mov %rax, %r8
  mov BOOT_RANGE_START(%rsi), %r9
2:
  add $BOOT_RANGE_STRIDE, %rsi
  dec %ecx
  jmp 1b
3:
  mov $SCRIBBLE, %rax
  sub $1024, %r8                    // a block of 2 MiB, 4 MiB into the range
  jbe 5f
  cmp $512, %r8
  jbe 4f
  mov $512, %r8d
4:
  lea 1024(%r9), %rdi
  shl $PAGE_SHIFT, %rdi
  mov %r8, %rcx
  shl $WORDS_PER_PAGE_SHIFT, %rcx
  rep stosq
5:
  // Then single words in pages far apart. The last word of a page: a check that stops early in the
  // page would miss it.
  mov %r10, %rbx
  shr $SCATTERED_PAGES_SHIFT, %rbx
  jnz 6f
  mov $1, %ebx
6:
  mov %rbx, %r8                     // page inside the current range
  shr $1, %r8
  mov $SCRIBBLE, %rax
  mov $SCATTERED_PAGES, %edx
  mov BOOT_RANGE_COUNT(%rbp), %ecx
  lea BOOT_RANGES(%rbp), %rsi
7:
  test %ecx, %ecx
  jz 10f
  cmpq $BOOT_TYPE_CONVENTIONAL, BOOT_RANGE_TYPE(%rsi)
  jne 9f
8:
  cmp BOOT_RANGE_PAGES(%rsi), %r8
  jae 11f
  mov BOOT_RANGE_START(%rsi), %rdi
  add %r8, %rdi
  shl $PAGE_SHIFT, %rdi
  mov %rax, 0xFF8(%rdi)
  add %rbx, %r8
  dec %edx
  jnz 8b
  jmp 10f
11:
  sub BOOT_RANGE_PAGES(%rsi), %r8
9:
  add $BOOT_RANGE_STRIDE, %rsi
  dec %ecx
  jmp 7b
10:

// Announce the system and map the hypercall page. An identity without bit 63 would claim to be a
// proprietary one.

  mov $MSR_GUEST_OS_ID, %ecx
  mov $0x00000001, %eax
  mov $0x81000000, %edx
  wrmsr
  lea hypercall_page(%rip), %r13
  mov $MSR_HYPERCALL, %ecx
  mov %r13, %rax
  mov %r13, %rdx
  shr $32, %rdx
  or $1, %eax
  wrmsr
  rdmsr
  mov $FAILURE_NO_HYPERCALL_PAGE, %ebx
  test $1, %al
  jz fail

// Ask. Windows asks for the capabilities even where the privilege for it is missing, and then
// ignores the answer.

  mov $HV_EXT_CALL_QUERY_CAPABILITIES, %ecx
  xor %edx, %edx                    // no input
  lea capabilities(%rip), %r8
  call *%r13
  mov %rax, %rbx
  xor %r14d, %r14d
  test %bx, %bx                     // bits 15:0 are the status
  jnz 1f
  mov capabilities(%rip), %r14
1:
  report KEY_CAPABILITIES_RESULT, %rbx
  report KEY_CAPABILITIES, %r14

  test $0x00100000, %r12d
  jz no_reply
  test $1, %r14d                    // 0 as well if the query failed
  jz no_reply
  mov $HV_EXT_CALL_GET_BOOT_ZEROED_MEMORY, %ecx
  xor %edx, %edx
  lea reply_page(%rip), %r8
  call *%r13
  mov %rax, %rbx
  report KEY_ZEROED_RESULT, %rbx
  test %bx, %bx
  jnz no_reply
  mov reply_page(%rip), %r14
  report KEY_RANGE_COUNT, %r14
  mov $FAILURE_TOO_MANY_RANGES, %ebx
  cmp $MAX_REPORTED, %r14
  ja fail
  mov %r14, reply_count(%rip)
  jmp replied
no_reply:
  report KEY_RANGE_COUNT, $0
replied:
  report KEY_PHASE, $PHASE_ZEROING
  cmpl $1, BOOT_VCPU_COUNT(%rbp)
  jbe enter_ring3
  out %eax, $PORT_START_VCPUS

// All vCPUs. RBP = boot info, R15 = vCPU index.

enter_ring3:
  mov $MSR_STAR, %ecx
  xor %eax, %eax
  mov $STAR_HIGH, %edx
  wrmsr
  lea ring3(%rip), %rcx
  mov $RING3_FLAGS, %r11d
  sysretq

no_hypervisor:
  mov $FAILURE_NO_HYPERVISOR, %ebx
fail:                               // EBX = what failed
  report KEY_FAILURE, %rbx
  mov $3, %eax
  out %al, $PORT_EXIT
1:
  hlt
  jmp 1b

// Ring 3.

ring3:
  test %r15d, %r15d
  jz build_lists
  wait_for lists_ready
  jmp zero_memory

// vCPU 0 first makes two lists of work from the reply: what to zero (conventional memory without
// the reported pages) and what to read (the reported pages that exist). The reply is not trusted:
// it may be unsorted, overlap, wrap around or name pages that do not exist. Everything below is
// bounded by the number of ranges.

build_lists:
  // The reported ranges as [start, end), insertion-sorted by start.
  lea reported(%rip), %r8
  mov %r8, %rbx                     // end of the sorted part
  lea (reply_page + 8)(%rip), %rsi
  mov reply_count(%rip), %rcx
1:
  test %rcx, %rcx
  jz 5f
  mov (%rsi), %rax
  mov 8(%rsi), %rdx
  add $16, %rsi
  dec %rcx
  add %rax, %rdx
  jnc 2f
  mov $-1, %rdx
2:
  cmp %rdx, %rax
  jae 1b                            // empty
  mov %rbx, %rdi
3:
  cmp %r8, %rdi
  je 4f
  cmp %rax, -16(%rdi)
  jbe 4f
  mov -16(%rdi), %r9
  mov -8(%rdi), %r10
  mov %r9, (%rdi)
  mov %r10, 8(%rdi)
  sub $16, %rdi
  jmp 3b
4:
  mov %rax, (%rdi)
  mov %rdx, 8(%rdi)
  add $16, %rbx
  jmp 1b
5:
  // Merge what overlaps or touches, so that a page is read and counted once. R14 = pages in all.
  xor %r14d, %r14d
  mov %r8, %rsi                     // next to read
  mov %r8, %rdi                     // next to write; never ahead of RSI
6:
  cmp %rbx, %rsi
  jae 9f
  mov (%rsi), %rax
  mov 8(%rsi), %rdx
7:
  add $16, %rsi
  cmp %rbx, %rsi
  jae 8f
  cmp %rdx, (%rsi)
  ja 8f
  cmp %rdx, 8(%rsi)
  jbe 7b
  mov 8(%rsi), %rdx
  jmp 7b
8:
  mov %rax, (%rdi)
  mov %rdx, 8(%rdi)
  add $16, %rdi
  add %rdx, %r14
  sub %rax, %r14
  jmp 6b
9:
  // A range behind the last one ends the loops below.
  movq $-1, (%rdi)
  movq $-1, 8(%rdi)

  // R8 = reported range, RSI = boot range, both ascend. R9 and R10 are the ends of the two lists,
  // R11 and R12 the pages in them.
  lea BOOT_RANGES(%rbp), %rsi
  mov BOOT_RANGE_COUNT(%rbp), %ecx
  lea zero_list(%rip), %r9
  lea read_list(%rip), %r10
  xor %r11d, %r11d
  xor %r12d, %r12d
next_boot_range:
  test %ecx, %ecx
  jz lists_built
  mov BOOT_RANGE_START(%rsi), %rax  // RAX ..< RDX: what is left of the boot range
  mov BOOT_RANGE_PAGES(%rsi), %rdx
  add %rax, %rdx
1:
  cmp %rdx, %rax
  jae boot_range_done
  cmp %rax, 8(%r8)
  ja 2f
  add $16, %r8                      // ends before what is left
  jmp 1b
2:
  mov (%r8), %rdi                   // RDI ..< RBX: the reported part
  mov 8(%r8), %rbx
  cmp %rax, %rdi
  jae 3f
  mov %rax, %rdi
3:
  cmp %rdx, %rdi
  jb 4f
  mov %rdx, %rdi                    // nothing of it is reported
4:
  cmp %rdx, %rbx
  jbe 5f
  mov %rdx, %rbx
5:
  cmpq $BOOT_TYPE_CONVENTIONAL, BOOT_RANGE_TYPE(%rsi)
  jne 6f
  cmp %rdi, %rax
  jae 6f
  mov %rax, (%r9)                   // in front of the reported part
  mov %rdi, 8(%r9)
  add $16, %r9
  add %rdi, %r11
  sub %rax, %r11
6:
  cmp %rbx, %rdi
  jae 7f
  mov %rdi, (%r10)
  mov %rbx, 8(%r10)
  add $16, %r10
  add %rbx, %r12
  sub %rdi, %r12
7:
  mov %rbx, %rax
  jmp 1b
boot_range_done:
  add $BOOT_RANGE_STRIDE, %rsi
  dec %ecx
  jmp next_boot_range
lists_built:
  mov %r11, zero_total(%rip)
  mov %r12, read_total(%rip)
  sub %r12, %r14                    // reported, but no memory: as wrong as a page that is not zero
  mov %r14, nonzero_pages(%rip)
  movl $1, lists_ready(%rip)

// Takes items of a list until none is left. The pages of all its ranges are counted through, and
// the cursor is the number of the next page to take. The body gets RDI = GPA and RCX = pages and
// may use RAX, RBX, RCX, RDX, RDI and R14. R13 = pages of the item.
.macro work list, total, cursor, finished, body
  lea \list(%rip), %r8              // the range the last item was in: items only ascend
  xor %r9d, %r9d                    // number of its first page
  mov \total(%rip), %r12
1:
  mov $PAGES_PER_ITEM, %r10d
  lock xadd %r10, \cursor(%rip)
  cmp %r12, %r10
  jae 5f
  lea PAGES_PER_ITEM(%r10), %r11
  cmp %r12, %r11
  cmova %r12, %r11
  mov %r11, %r13
  sub %r10, %r13
2:
  mov 8(%r8), %rax
  sub (%r8), %rax
  mov %r10, %rdi
  sub %r9, %rdi
  cmp %rax, %rdi
  jb 3f
  add %rax, %r9
  add $16, %r8
  jmp 2b
3:
  sub %rdi, %rax                    // left in the range
  mov %r11, %rcx
  sub %r10, %rcx                    // left in the item
  cmp %rax, %rcx
  cmova %rax, %rcx
  add %rcx, %r10
  add (%r8), %rdi
  shl $PAGE_SHIFT, %rdi
  \body
  cmp %r11, %r10
  jb 2b
  lock add %r13, \finished(%rip)
  mov %r13d, %eax
  out %eax, $PORT_PROGRESS
  jmp 1b
5:
.endm

.macro zero_pages
  shl $WORDS_PER_PAGE_SHIFT, %rcx
  xor %eax, %eax
  rep stosq
.endm

.macro count_nonzero_pages
  mov %rcx, %rbx
  xor %eax, %eax
6:
  mov %rdi, %rdx
  mov $WORDS_PER_PAGE, %ecx
  repe scasq
  je 7f
  inc %r14
7:
  lea (1 << PAGE_SHIFT)(%rdx), %rdi
  dec %rbx
  jnz 6b
.endm

zero_memory:
  work zero_list, zero_total, zero_cursor, zeroed_pages, zero_pages
  barrier zeroing_done
  test %r15d, %r15d
  jnz 1f
  mov zeroed_pages(%rip), %rbx
  shl $PAGE_SHIFT, %rbx
  report KEY_BYTES_ZEROED, %rbx
  report KEY_PHASE, $PHASE_ZEROED
  // Nobody reads before this is known: whoever measures the zeroing measures nothing else.
  movl $1, zeroing_reported(%rip)
1:
  wait_for zeroing_reported

  xor %r14d, %r14d
  work read_list, read_total, read_cursor, read_pages, count_nonzero_pages
  lock add %r14, nonzero_pages(%rip)
  barrier reading_done
  test %r15d, %r15d
  jnz 1f
  mov read_pages(%rip), %rbx
  report KEY_PAGES_READ, %rbx
  mov nonzero_pages(%rip), %rbx
  report KEY_NONZERO_PAGES, %rbx
  report KEY_PHASE, $PHASE_VERIFIED
  xor %eax, %eax
  out %al, $PORT_EXIT
1:
  pause                             // ring 3 may not halt
  jmp 1b

// Data. Cursors and counters that several vCPUs change have a cache line each.

  .p2align 6
guest_data:
zero_cursor:
  .quad 0
  .p2align 6
read_cursor:
  .quad 0
  .p2align 6
zeroed_pages:
  .quad 0
  .p2align 6
read_pages:
  .quad 0
  .p2align 6
nonzero_pages:
  .quad 0
  .p2align 6
zeroing_done:
  .long 0
  .p2align 6
reading_done:
  .long 0
  .p2align 6
lists_ready:
  .long 0
zeroing_reported:
  .long 0
capabilities:
  .quad 0
reply_count:
  .quad 0
zero_total:
  .quad 0
read_total:
  .quad 0
reported:
  .skip 16 * (MAX_REPORTED + 1)
zero_list:
  .skip 16 * MAX_PIECES
read_list:
  .skip 16 * MAX_PIECES

  // The hypervisor may lay its page over this one: nothing else may be in it.
  .p2align 12
hypercall_page:
  .skip 4096
reply_page:
  .skip 4096
guest_demo_end:

  .section .note.GNU-stack, "", @progbits
