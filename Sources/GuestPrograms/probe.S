// Runs a script that a test wrote into memory, one entry after the other, and leaves the results in
// the entries. A fault ends its entry only.
//
// The script is at SCRIPT and ends with an entry of operation 0; the test leaves the GPA of the
// hypercall page at PAGE_POINTER. An entry is eight 64-bit words:
//
//   operation, a0, a1, a2, result, fault, extra, unused
//
//    0  end of the run, status 0
//    1  call the hypercall page: RCX = a0, RDX = a1, R8 = a2; result = RAX
//    2  wrmsr: register a0, value a1
//    3  rdmsr: register a0; result = value
//    4  cpuid: leaf a0, subleaf a1; result = EBX:EAX, extra = EDX:ECX
//    5  call the hypercall page from compatibility mode: EDX:EAX = a0, EBX:ECX = a1, EDI:ESI = a2;
//       result = EDX:EAX
//    6  store the 64-bit value a1 at a0
//    7  load 64 bits at a0; result = value
//    8  call address a1: RCX = a0, RDX = 0, R8 = a2; result = RAX
//    9  write to the hypercall page's port, but from here: RCX = a0, RDX = a1, R8 = a2;
//       result = RAX
//   10  call the hypercall page from ring 3, as 1. If it faults, the script goes on in ring 0; if
//       it returns, the result is kept and the run ends with status 0
//   11  write the 32-bit value a1 to port a0
//   12  store the 64-bit value a1 at a0 and, a2 times in all, every `extra` bytes above
//   13  load 64 bits at a0 and, a2 times in all, every `extra` bytes above; result = the last
//
// Anything else ends the run with status 1. `fault` is the vector plus one, 0 if there was none;
// with a fault, `result` is all ones.
//
// A fault handler does not return: it takes the stack of the start and goes on with the next
// entry. So it needs neither the length of the faulting instruction nor the error code, and no
// `iretq`.

#include "guest_interface.h"

#define PAGE_POINTER 0x7FF8
#define SCRIPT 0x8000

#define ENTRY_A0 8
#define ENTRY_A1 16
#define ENTRY_A2 24
#define ENTRY_RESULT 32
#define ENTRY_FAULT 40
#define ENTRY_EXTRA 48
#define ENTRY_STRIDE 64

#define VECTORS 32
#define STUB_STRIDE 16
// Present, DPL 0, 64-bit interrupt gate, no IST.
#define GATE_ATTRIBUTES 0x8E00

#define GDT_LOADER_BYTES 0x38
#define SELECTOR_TSS 0x38
// Present, DPL 0, available 64-bit TSS.
#define TSS_ATTRIBUTES 0x89
#define TSS_LIMIT 0x67
#define TSS_RSP0 4

  .section .rodata.guest_probe, "a", @progbits
  .globl guest_probe_start
  .globl guest_probe_end
  .p2align 12
guest_probe_start:
  cld
  mov %rsp, stack(%rip)

  // Gates: a handler's address is known only here, the image has no relocations.
  lea stubs(%rip), %rax
  lea idt(%rip), %rdi
  mov %rdi, (idt_pointer + 2)(%rip)
  mov $VECTORS, %ecx
1:
  mov %ax, (%rdi)
  movw $SELECTOR_KERNEL_CODE, 2(%rdi)
  mov %eax, 4(%rdi)
  movw $GATE_ATTRIBUTES, 4(%rdi)
  mov %rax, %rdx
  shr $32, %rdx
  mov %edx, 8(%rdi)
  movl $0, 12(%rdi)
  add $STUB_STRIDE, %rax
  add $16, %rdi
  dec %ecx
  jnz 1b
  lidt idt_pointer(%rip)

  mov $SCRIPT, %ebp

// RBP = entry. Operations may destroy all registers; the entry is in memory as well.
run_entry:
  mov %rbp, entry(%rip)
  movq $0, ENTRY_FAULT(%rbp)
  mov (%rbp), %rax
  cmp $1, %rax
  jb end_of_script
  je hypercall
  cmp $3, %rax
  jb write_msr
  je read_msr
  cmp $5, %rax
  jb read_cpuid
  je hypercall_32
  cmp $7, %rax
  jb store
  je load
  cmp $9, %rax
  jb call_address
  je write_port
  cmp $11, %rax
  jb hypercall_ring3
  je write_any_port
  cmp $13, %rax
  jb store_many
  je load_many

  mov $1, %eax
  out %al, $PORT_EXIT
1:
  hlt
  jmp 1b

end_of_script:
  xor %eax, %eax
  out %al, $PORT_EXIT
1:
  hlt
  jmp 1b

hypercall:
  mov ENTRY_A0(%rbp), %rcx
  mov ENTRY_A1(%rbp), %rdx
  mov ENTRY_A2(%rbp), %r8
  mov PAGE_POINTER, %rbx
  call *%rbx
  jmp have_result

write_msr:
  mov ENTRY_A0(%rbp), %ecx
  mov ENTRY_A1(%rbp), %eax
  mov (ENTRY_A1 + 4)(%rbp), %edx
  wrmsr
  jmp next_entry

read_msr:
  mov ENTRY_A0(%rbp), %ecx
  rdmsr
  jmp have_halves

read_cpuid:
  mov ENTRY_A0(%rbp), %eax
  mov ENTRY_A1(%rbp), %ecx
  cpuid
  mov %ecx, ENTRY_EXTRA(%rbp)
  mov %edx, (ENTRY_EXTRA + 4)(%rbp)
  mov %ebx, %edx
  jmp have_halves

store:
  mov ENTRY_A0(%rbp), %rdi
  mov ENTRY_A1(%rbp), %rax
  mov %rax, (%rdi)
  jmp next_entry

load:
  mov ENTRY_A0(%rbp), %rsi
  mov (%rsi), %rax
  jmp have_result

write_any_port:
  mov ENTRY_A0(%rbp), %edx
  mov ENTRY_A1(%rbp), %eax
  out %eax, %dx
  jmp next_entry

store_many:
  mov ENTRY_A0(%rbp), %rdi
  mov ENTRY_A1(%rbp), %rax
  mov ENTRY_A2(%rbp), %rcx
1:
  mov %rax, (%rdi)
  add ENTRY_EXTRA(%rbp), %rdi
  dec %rcx
  jnz 1b
  jmp next_entry

load_many:
  mov ENTRY_A0(%rbp), %rsi
  mov ENTRY_A2(%rbp), %rcx
1:
  mov (%rsi), %rax
  add ENTRY_EXTRA(%rbp), %rsi
  dec %rcx
  jnz 1b
  jmp have_result

call_address:
  mov ENTRY_A0(%rbp), %rcx
  mov ENTRY_A1(%rbp), %rbx
  mov ENTRY_A2(%rbp), %r8
  xor %edx, %edx
  call *%rbx
  jmp have_result

write_port:
  mov ENTRY_A0(%rbp), %rcx
  mov ENTRY_A1(%rbp), %rdx
  mov ENTRY_A2(%rbp), %r8
  xor %eax, %eax
  out %eax, $PORT_HYPERCALL
  jmp have_result

hypercall_32:
  mov ENTRY_A0(%rbp), %eax
  mov (ENTRY_A0 + 4)(%rbp), %edx
  mov ENTRY_A1(%rbp), %ecx
  mov (ENTRY_A1 + 4)(%rbp), %ebx
  mov ENTRY_A2(%rbp), %esi
  mov (ENTRY_A2 + 4)(%rbp), %edi
  lea in_compatibility_mode(%rip), %r8
  lea in_64_bit_mode(%rip), %rbp    // 32-bit code cannot find it, having no RIP-relative addresses
  pushq $SELECTOR_KERNEL_CODE_32
  push %r8
  lretq
  .code32
in_compatibility_mode:
  call *PAGE_POINTER
  pushl $SELECTOR_KERNEL_CODE
  pushl %ebp
  lretl
  .code64
in_64_bit_mode:
have_halves:                        // EDX:EAX = result
  mov entry(%rip), %rbp
  mov %eax, ENTRY_RESULT(%rbp)
  mov %edx, (ENTRY_RESULT + 4)(%rbp)
  jmp next_entry

have_result:                        // RAX = result
  mov entry(%rip), %rbp
  mov %rax, ENTRY_RESULT(%rbp)
next_entry:
  mov stack(%rip), %rsp
  mov entry(%rip), %rbp
  add $ENTRY_STRIDE, %rbp
  jmp run_entry

hypercall_ring3:
  // A fault in ring 3 takes its stack from a TSS, which needs a descriptor: the loader's table
  // again, with one more. Loaded only here, so that all else runs on what the loader provides.
  sgdt gdt_pointer(%rip)
  mov (gdt_pointer + 2)(%rip), %rsi
  lea gdt(%rip), %rdi
  mov %rdi, (gdt_pointer + 2)(%rip)
  movw $(gdt_end - gdt - 1), gdt_pointer(%rip)
  mov $(GDT_LOADER_BYTES / 8), %ecx
1:
  mov (%rsi), %rax
  mov %rax, (%rdi)
  add $8, %rsi
  add $8, %rdi
  dec %ecx
  jnz 1b
  mov stack(%rip), %rax
  mov %rax, (tss + TSS_RSP0)(%rip)
  lea tss(%rip), %rax
  movw $TSS_LIMIT, (%rdi)
  mov %ax, 2(%rdi)                  // bits 15:0 of the base
  shr $16, %rax
  mov %al, 4(%rdi)                  // bits 23:16
  movw $TSS_ATTRIBUTES, 5(%rdi)
  shr $8, %rax
  mov %al, 7(%rdi)                  // bits 31:24
  shr $8, %rax
  mov %rax, 8(%rdi)                 // bits 63:32
  lgdt gdt_pointer(%rip)
  mov $SELECTOR_TSS, %eax
  ltr %ax

  mov $MSR_STAR, %ecx
  xor %eax, %eax
  mov $STAR_HIGH, %edx
  wrmsr
  lea in_ring3(%rip), %rcx
  mov $RING3_FLAGS, %r11d
  sysretq
in_ring3:
  mov ENTRY_A0(%rbp), %rcx
  mov ENTRY_A1(%rbp), %rdx
  mov ENTRY_A2(%rbp), %r8
  mov PAGE_POINTER, %rbx
  // Below the stack of ring 0, which a fault would start to use at its top.
  sub $1024, %rsp
  call *%rbx
  mov entry(%rip), %rbp
  mov %rax, ENTRY_RESULT(%rbp)
  xor %eax, %eax
  out %al, $PORT_EXIT
1:
  pause                             // ring 3 may not halt
  jmp 1b

// One entry point per vector; the hardware does not say which one it was.

  .p2align 4
stubs:
  .set vector, 0
  .rept VECTORS
  .p2align 4
  mov $(vector + 1), %eax
  jmp record_fault
  .set vector, vector + 1
  .endr
  // Refused by the assembler if a stub is longer than its stride.
  .org stubs + VECTORS * STUB_STRIDE

record_fault:                       // EAX = vector + 1
  mov $SELECTOR_KERNEL_DATA, %ecx
  mov %ecx, %ss                     // null after a fault in ring 3; 32-bit code needs one
  mov stack(%rip), %rsp
  mov entry(%rip), %rbp
  mov %rax, ENTRY_FAULT(%rbp)
  movq $-1, ENTRY_RESULT(%rbp)
  jmp next_entry

// Data.

  .p2align 4
idt:
  .skip 16 * VECTORS
gdt:
  .skip GDT_LOADER_BYTES + 16
gdt_end:
  .p2align 4
tss:
  .skip TSS_LIMIT + 1
stack:
  .quad 0
entry:
  .quad 0
  .p2align 3
  .skip 6                           // aligns the addresses behind the limits
idt_pointer:
  .word 16 * VECTORS - 1
  .quad 0
  .skip 6
gdt_pointer:
  .word 0
  .quad 0
guest_probe_end:

  .section .note.GNU-stack, "", @progbits
