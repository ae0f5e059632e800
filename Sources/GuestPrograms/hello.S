// The smallest program that shows a VM runs: prints a line and exits with status 0.

#include "guest_interface.h"

  .section .rodata.guest_hello, "a", @progbits
  .globl guest_hello_start
  .globl guest_hello_end
  .p2align 4
guest_hello_start:
  cld
  lea message(%rip), %rsi
  mov $(message_end - message), %ecx
1:
  lodsb
  out %al, $PORT_CONSOLE
  dec %ecx
  jnz 1b

  xor %eax, %eax
  out %al, $PORT_EXIT
2:
  hlt
  jmp 2b

message:
  .ascii "hello\n"
message_end:
guest_hello_end:

  .section .note.GNU-stack, "", @progbits
