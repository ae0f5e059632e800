// Firmware of 4 KiB that ends at 4 GiB: tries the flash chip below it, and what firmware is told, and
// switches the machine off. Whatever is not as it should be ends the run with the number of its check.

#include "guest_interface.h"

// What a test puts below: a chip of two blocks.
#define CHIP 0xFFFFD000
#define CHIP_BYTES 0x2000
#define ROM 0xFFFFF000

#define SELECTOR_PORT 0x510
#define DATA_PORT 0x511
#define CONTROL_PORT 0x604
#define SLEEP 0x2000

// Ends with status `number` unless the last comparison was equal.
.macro check number
  mov $\number, %bl
  jne fail
.endm

  .section .rodata.guest_firmware, "a", @progbits
  .globl guest_firmware_start
  .globl guest_firmware_end
  .p2align 4
guest_firmware_start:

  .code16
start16:
  lgdtl %cs:(0xF000 + descriptor - guest_firmware_start)
  mov %cr0, %eax
  or $1, %al
  mov %eax, %cr0
  ljmpl $8, $(ROM + start32 - guest_firmware_start)

  .code32
start32:
  mov $16, %ax
  mov %ax, %ds
  mov $CHIP, %edi

  cmpb $0xA5, (%edi) // the array as the store has it
  check 1
  movb $0x70, (%edi)
  cmpb $0x00, (%edi) // status: nothing done yet
  check 2
  movb $0x10, (%edi)
  movb $0x25, (%edi)
  cmpb $0x80, (%edi) // ready
  check 3
  movb $0xFF, (%edi)
  cmpb $0x25, (%edi) // the array again, by memory
  check 4
  movb $0x20, 0x1000(%edi)
  movb $0xD0, 0x1000(%edi)
  movb $0xFF, (%edi)
  cmpb $0xFF, 0x1800(%edi) // the second block, erased
  check 5
  cmpb $0xA5, 1(%edi) // the first one, not
  check 6

  mov $ROM, %esi
  mov (%esi), %eax
  movl $0x12345678, (%esi) // the firmware itself cannot be written
  cmp %eax, (%esi)
  check 7

  mov $SELECTOR_PORT, %dx
  xor %eax, %eax
  out %ax, %dx
  mov $DATA_PORT, %dx
  in %dx, %al
  cmp $0x51, %al // the Q of QEMU
  check 8

  mov $CONTROL_PORT, %dx
  mov $SLEEP, %ax
  out %ax, %dx
1:
  hlt
  jmp 1b

fail:
  mov %bl, %al
  out %al, $PORT_EXIT
  jmp 1b

  .p2align 3
table:
  .quad 0
  .quad 0x00CF9B000000FFFF // code, 32 bits, 4 GiB
  .quad 0x00CF93000000FFFF // data
descriptor:
  .word descriptor - table - 1
  .long ROM + table - guest_firmware_start

  .org guest_firmware_start + 0xFF0
  .code16
  jmp start16
  .org guest_firmware_start + 0x1000
guest_firmware_end:

  .section .note.GNU-stack, "", @progbits
