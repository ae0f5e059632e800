// Firmware of 4 KiB that ends at 4 GiB: tries the flash chip below it, programs the bridges' base registers
// and looks at what came of it, also in the ACPI tables, and switches the machine off. Whatever is not as it
// should be ends the run with the number of its check.

#include "guest_interface.h"

// What a test puts below: a chip of two blocks.
#define CHIP 0xFFFFD000
#define CHIP_BYTES 0x2000
#define ROM 0xFFFFF000

// RAM: the stack ends, the copy of the ACPI tables begins.
#define STACK 0x8000
#define SCRATCH 0x10000
#define SCRATCH_BYTES 0x2000
// fw_cfg's files.
#define FIRST_FILE 0x20
#define FILE_COUNT 8

#define SELECTOR_PORT 0x510
#define DATA_PORT 0x511
#define SLEEP 0x2000

// Where the bridges are asked to decode: other places than this machine's own.
#define EXPRESS 0xD0000000
#define PM_BASE 0xB000

// Configuration registers by port, of 00:00.0 and 00:1f.0.
#define HOST_BRIDGE(offset) (0x80000000 + (offset))
#define ISA_BRIDGE(offset) (0x8000F800 + (offset))
#define IDENTITY 0x29C08086

// Ends with status `number` unless the last comparison was equal.
.macro check number
  mov $\number, %bl
  jne fail
.endm

// Writes a configuration register of 32 bits by port.
.macro configure register, value
  mov $\register, %eax
  mov $0xCF8, %dx
  out %eax, %dx
  mov $\value, %eax
  mov $0xCFC, %dx
  out %eax, %dx
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
  mov %ax, %ss
  mov %ax, %es
  mov $STACK, %esp
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

  // Configuration registers in memory: nowhere, here, elsewhere, nowhere.
  cmpl $0xFFFFFFFF, EXPRESS
  check 9
  configure HOST_BRIDGE(0x60), 0xE0000001
  cmpl $IDENTITY, 0xE0000000
  check 10
  cmpl $0x29188086, 0xE00F8000
  check 11
  movl $0, 0xE0000060 // by the registers in memory themselves
  cmpl $0xFFFFFFFF, 0xE0000000
  check 12
  configure HOST_BRIDGE(0x60), EXPRESS + 3 // 128 buses
  cmpl $IDENTITY, EXPRESS
  check 13
  cmpl $0xFFFFFFFF, 0xE0000000
  check 14

  // The ACPI ports: nowhere, then where PMBASE has them, once ACPI_CNTL turns them on.
  configure ISA_BRIDGE(0x40), PM_BASE
  mov $PM_BASE + 8, %dx
  in %dx, %eax
  cmp $0xFFFFFFFF, %eax
  check 15
  configure ISA_BRIDGE(0x44), 0x81 // SCI on interrupt 10
  mov $PM_BASE + 4, %dx
  in %dx, %ax
  cmp $0, %ax
  check 16
  mov $0x604, %dx
  in %dx, %ax
  cmp $0xFFFF, %ax
  check 17

  // The tables say so. They lie behind the others in etc/acpi/tables, whatever its number is.
  mov $FIRST_FILE, %ebp
next_file:
  mov $SELECTOR_PORT, %dx
  mov %ebp, %eax
  out %ax, %dx
  inc %ebp
  cmp $FIRST_FILE + FILE_COUNT, %ebp
  ja no_tables
  mov $SCRATCH, %edi
  mov $SCRATCH_BYTES, %ecx
  mov $DATA_PORT, %dx
  rep insb
  cmpl $('X' + ('S' << 8) + ('D' << 16) + ('T' << 24)), SCRATCH
  jne next_file

  mov $('M' + ('C' << 8) + ('F' << 16) + ('G' << 24)), %eax
  call find
  cmpl $EXPRESS, 44(%esi)
  check 18
  cmpl $0x7F000000, 52(%esi) // segment 0, buses 0 to 0x7F
  check 19
  mov $('F' + ('A' << 8) + ('C' << 16) + ('P' << 24)), %eax
  call find
  cmpl $PM_BASE, 56(%esi)
  check 20
  cmpl $PM_BASE + 8, 76(%esi)
  check 21
  cmpw $10, 46(%esi)
  check 22

  mov $PM_BASE + 4, %dx
  mov $SLEEP, %ax
  out %ax, %dx
1:
  hlt
  jmp 1b

no_tables:
  mov $23, %bl
  jmp fail

// Finds the table with the signature in %eax, at a multiple of 16 in the copy: %esi.
find:
  mov $SCRATCH, %esi
2:
  cmp %eax, (%esi)
  je 3f
  add $16, %esi
  cmp $SCRATCH + SCRATCH_BYTES, %esi
  jb 2b
  mov $24, %bl
  jmp fail
3:
  ret

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
