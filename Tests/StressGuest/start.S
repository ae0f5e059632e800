// Where the first processor enters (PVH: 32-bit protected mode, no paging), and the others (real mode).

  .section .note.pvh, "a", @note
  .long 4, 4, 18  // XEN_ELFNOTE_PHYS32_ENTRY
  .asciz "Xen"
  .long start

  .section .text.start, "ax"
  .globl start
start:
  movl $first_stack_end, %esp
  pushl %ebx  // struct hvm_start_info
  call first_main
1:
  hlt
  jmp 1b

// Copied to a page below 1 MiB, where a start-up interrupt can point.
  .code16
  .globl other_start, other_start_end
other_start:
  cli
  movw %cs, %ax
  movw %ax, %ds
  lgdtl table_pointer - other_start
  movl %cr0, %eax
  orl $1, %eax
  movl %eax, %cr0
  ljmpl $8, $other_protected
table_pointer:
  .word table_end - table - 1
  .long table
other_start_end:

  .code32
other_protected:
  movw $16, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  movl $other_stack_end, %esp
  call other_main
1:
  hlt
  jmp 1b

  .section .rodata
  .balign 8
table:
  .quad 0
  .quad 0x00CF9B000000FFFF  // code, flat
  .quad 0x00CF93000000FFFF  // data, flat
table_end:

  .bss
  .balign 16
  .skip 16384
first_stack_end:
  .skip 16384
other_stack_end:

  .section .note.GNU-stack, "", @progbits
