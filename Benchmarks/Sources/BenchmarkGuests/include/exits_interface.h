// What the program of exits and its hosts agree on. For the assembler too: nothing but numbers.
#pragma once

// Offsets of the orders in the image: the kind of exit, how many of them make a round, the port, address or
// hypercall input value, and whether to enable the hypercall page by its MSRs.
#define EXITS_ORDER_KIND 8
#define EXITS_ORDER_COUNT 12
#define EXITS_ORDER_ADDRESS 16
#define EXITS_ORDER_ENABLES_PAGE 24

#define EXITS_KIND_PORT_OUT 0
#define EXITS_KIND_PORT_IN 1
#define EXITS_KIND_STORE 2
#define EXITS_KIND_LOAD 3
#define EXITS_KIND_HYPERCALL 4

// A round begins; its last exit is answered.
#define EXITS_PORT_BEGIN 0x10
#define EXITS_PORT_END 0x11

#define EXITS_HYPERCALL_PAGE 0x200000
#define EXITS_HYPERCALL_OUTPUT 0x201000
