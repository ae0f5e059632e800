// Causes exits of one kind, in rounds, for ever: an `out` before the first of a round and one after the
// last.
//
// All from ring 0, which alone may make hypercalls.

#include "exits_interface.h"

#define MSR_GUEST_OS_ID 0x40000000
#define MSR_HYPERCALL 0x40000001

  .section .rodata.guest_exits, "a", @progbits
  .globl guest_exits_start
  .globl guest_exits_end
  .p2align 6
guest_exits_start:
  jmp begin
  .org guest_exits_start + EXITS_ORDER_KIND
kind:
  .long 0
count:
  .long 0
address:
  .quad 0
enables_page:
  .quad 0

begin:
  cmpl $EXITS_KIND_HYPERCALL, kind(%rip)
  jne accesses
  cmpl $0, enables_page(%rip)
  je 1f
  mov $MSR_GUEST_OS_ID, %ecx
  mov $1, %eax
  xor %edx, %edx
  wrmsr
  mov $MSR_HYPERCALL, %ecx
  mov $(EXITS_HYPERCALL_PAGE | 1), %eax
  wrmsr
1:
  mov $EXITS_HYPERCALL_PAGE, %ebx
2:
  out %al, $EXITS_PORT_BEGIN
  mov count(%rip), %ebp
3:
  mov address(%rip), %rcx
  xor %edx, %edx
  mov $EXITS_HYPERCALL_OUTPUT, %r8d
  call *%rbx
  dec %ebp
  jnz 3b
  out %al, $EXITS_PORT_END
  jmp 2b

accesses:
  mov address(%rip), %rdx
  mov kind(%rip), %ebx
1:
  out %al, $EXITS_PORT_BEGIN
  mov count(%rip), %ebp
  cmp $EXITS_KIND_PORT_IN, %ebx
  je port_in
  cmp $EXITS_KIND_STORE, %ebx
  je store
  cmp $EXITS_KIND_LOAD, %ebx
  je load
2:
  out %al, %dx
  dec %ebp
  jnz 2b
  jmp done
port_in:
  in %dx, %eax
  dec %ebp
  jnz port_in
  jmp done
store:
  mov %eax, (%rdx)
  dec %ebp
  jnz store
  jmp done
load:
  mov (%rdx), %eax
  dec %ebp
  jnz load
done:
  out %al, $EXITS_PORT_END
  jmp 1b
guest_exits_end:

  .section .note.GNU-stack, "", @progbits
