// What a guest program and its loader agree on. Assembler only: nothing but names for numbers.
#pragma once

// Ports. All fit `out imm8`, so that DX stays free.
#define PORT_PROGRESS 0xD8        // EAX: pages finished since this vCPU's last such write
#define PORT_REPORT_KEY 0xE0      // EAX: key of the report; commits the value
#define PORT_REPORT_LOW 0xE4      // EAX: low half of the value
#define PORT_REPORT_HIGH 0xE8     // EAX: high half of the value
#define PORT_CONSOLE 0xE9         // AL: one character
#define PORT_START_VCPUS 0xEC     // starts all other vCPUs at the image's first byte
#define PORT_HYPERCALL 0xEE       // what the hypercall page itself may use
#define PORT_EXIT 0xF4            // AL: exit status; ends the run

// Boot info, at the GPA in RDI.
#define BOOT_MAGIC 0x4F464E49544F4F42
#define BOOT_MAGIC_OFFSET 0
#define BOOT_VCPU_COUNT 8
#define BOOT_RANGE_COUNT 12
#define BOOT_RANGES 16
#define BOOT_RANGE_START 0
#define BOOT_RANGE_PAGES 8
#define BOOT_RANGE_TYPE 16
#define BOOT_RANGE_STRIDE 24
#define BOOT_TYPE_CONVENTIONAL 1

// Selectors of the loader's GDT.
#define SELECTOR_KERNEL_CODE 0x08
#define SELECTOR_KERNEL_DATA 0x10
#define SELECTOR_KERNEL_CODE_32 0x30

#define MSR_STAR 0xC0000081
// STAR bits 63:48 = 0x18: sysretq loads SS = 0x20|3 and CS = 0x28|3. Bits 47:32 = 0x08.
#define STAR_HIGH 0x00180008
// Reserved bit 1, and IOPL 3: ring 3 reports by `out`. IF stays 0, there is no IDT.
#define RING3_FLAGS 0x3002

#define MSR_GUEST_OS_ID 0x40000000
#define MSR_HYPERCALL 0x40000001
#define HV_EXT_CALL_QUERY_CAPABILITIES 0x8001
#define HV_EXT_CALL_GET_BOOT_ZEROED_MEMORY 0x8002
