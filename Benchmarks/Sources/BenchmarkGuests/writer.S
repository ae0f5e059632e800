// Stores to memory as ordered, for ever: an `out` before the first store and one after the last.
//
// The loop runs in ring 3, natively on every KVM: one without hardware virtualisation interprets ring
// 0. It uses no stack and writes nothing but what was ordered.

#include "writer_interface.h"

#define MSR_STAR 0xC0000081
// sysretq loads SS = 0x20|3 and CS = 0x28|3.
#define STAR_HIGH 0x00180008
// Reserved bit 1, and IOPL 3: ring 3 may use `out`.
#define RING3_FLAGS 0x3002

  .section .rodata.guest_writer, "a", @progbits
  .globl guest_writer_start
  .globl guest_writer_end
  .p2align 6
guest_writer_start:
  mov $MSR_STAR, %ecx
  xor %eax, %eax
  mov $STAR_HIGH, %edx
  wrmsr
  lea ring3(%rip), %rcx
  mov $RING3_FLAGS, %r11d
  sysretq

ring3:
  mov WRITER_ORDERS, %rdi
  mov WRITER_ORDERS + 8, %rcx
  mov WRITER_ORDERS + 16, %rdx
  mov $0x5AC1BB1E, %esi
  out %al, $WRITER_PORT_BEGIN
  .p2align 4, 0x90                  // nop: a data section is padded with zeros
1:
  mov %rsi, (%rdi)
  add %rdx, %rdi
  dec %rcx
  jnz 1b
  out %al, $WRITER_PORT_END
  jmp ring3
guest_writer_end:

  .section .note.GNU-stack, "", @progbits
