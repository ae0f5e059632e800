// Some vCPUs call 0x8002 in a loop, the others write to random pages: a storm that a test makes to
// see whether an answer ever names a page that was not zero.
//
// The test leaves at PARAMETERS, as 64-bit words unless said otherwise:
//
//    0  epoch, 32 bits; the test changes it while the guest runs
//   64  GPA of the arena, the memory to write to
//   72  pages of the arena minus one; the number of pages is a power of two
//   80  GPA of an array of 32 bits for each page of the arena
//   88  GPA of the hypercall page
//   96  how many vCPUs call; the first ones do
//  104  seed
//  112  writes between two reports of progress
//
// A caller takes a random page of the arena for each reply. A call that fails ends the run with
// status 1; nothing else in here ends it.
//
// A writer loads the epoch, stores to a random page, and then stores the epoch into the array's
// entry of the page. The processor keeps this order: whoever finds the epoch in the array knows
// that the bytes were written before, and not before the epoch began.

#include "guest_interface.h"

#define PARAMETERS 0x200000
#define EPOCH 0
#define ARENA 64
#define PAGE_MASK 72
#define DONE 80
#define HYPERCALL_PAGE 88
#define CALLERS 96
#define SEED 104
#define BURST 112

#define PAGE_SHIFT 12
#define WORDS_PER_PAGE 512

// The next random number (xorshift, Marsaglia 2003) in RBX, which is never 0. Clobbers RAX.
.macro random
  mov %rbx, %rax
  shl $13, %rax
  xor %rax, %rbx
  mov %rbx, %rax
  shr $7, %rax
  xor %rax, %rbx
  mov %rbx, %rax
  shl $17, %rax
  xor %rax, %rbx
.endm

  .section .rodata.guest_storm, "a", @progbits
  .globl guest_storm_start
  .globl guest_storm_end
  .p2align 4
guest_storm_start:
  cld
  mov $PARAMETERS, %ebp
  mov ARENA(%rbp), %r12
  mov DONE(%rbp), %r13
  mov PAGE_MASK(%rbp), %r14
  // Another sequence for each vCPU.
  lea 1(%rsi), %rbx
  imul SEED(%rbp), %rbx
  or $1, %rbx

  test %esi, %esi
  jnz 1f
  mov $MSR_GUEST_OS_ID, %ecx
  mov $0x00000001, %eax
  mov $0x81000000, %edx
  wrmsr
  mov $MSR_HYPERCALL, %ecx
  mov HYPERCALL_PAGE(%rbp), %rax
  mov %rax, %rdx
  shr $32, %rdx
  or $1, %eax
  wrmsr
  out %eax, $PORT_START_VCPUS
1:
  cmp CALLERS(%rbp), %rsi
  jae enter_ring3

// Callers, in ring 0.

  mov HYPERCALL_PAGE(%rbp), %r15
2:
  random
  mov %rbx, %r8
  and %r14, %r8
  shl $PAGE_SHIFT, %r8
  add %r12, %r8
  mov $HV_EXT_CALL_GET_BOOT_ZEROED_MEMORY, %ecx
  xor %edx, %edx                    // no input
  call *%r15
  test %ax, %ax                     // bits 15:0 are the status
  jz 2b
  mov $1, %eax
  out %al, $PORT_EXIT
3:
  hlt
  jmp 3b

// Writers, in ring 3, where a KVM without hardware virtualisation does not interpret.

enter_ring3:
  mov $MSR_STAR, %ecx
  xor %eax, %eax
  mov $STAR_HIGH, %edx
  wrmsr
  lea burst(%rip), %rcx
  mov $RING3_FLAGS, %r11d
  sysretq

burst:
  mov BURST(%rbp), %r15
4:
  random
  mov %rbx, %rdx
  and %r14, %rdx                    // page of the arena
  mov %rdx, %rdi
  shl $PAGE_SHIFT, %rdi
  add %r12, %rdi
  mov EPOCH(%rbp), %r8d             // before the first byte
  mov %rbx, %rax
  shr $59, %rax                     // one in 32 fills the page
  jz 5f
  mov %rbx, %rax
  shr $32, %rax
  and $((WORDS_PER_PAGE - 1) << 3), %eax
  mov %rbx, (%rdi, %rax)
  jmp 6f
5:
  mov %rbx, %rax
  mov $WORDS_PER_PAGE, %ecx
  rep stosq
6:
  mov %r8d, (%r13, %rdx, 4)         // after the last byte
  dec %r15
  jnz 4b
  mov BURST(%rbp), %rax
  out %eax, $PORT_PROGRESS
  jmp burst
guest_storm_end:

  .section .note.GNU-stack, "", @progbits
