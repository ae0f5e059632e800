// What the program and its host agree on. For the assembler too: nothing but numbers.
#pragma once

// Where the program reads its orders: three 64-bit words, first address, number of stores, bytes from
// one store to the next.
#define WRITER_ORDERS 0x2000
// The orders are read, the first store comes next; the last store is done.
#define WRITER_PORT_BEGIN 0x10
#define WRITER_PORT_END 0x11
