#include "console.h"

#include "machine.h"

void print(const char *text) {
  while (*text) out8(0x3F8, (uint8_t)*text++);
}

void print_number(uint32_t value) {
  char digits[11];
  char *first = digits + sizeof digits - 1;
  *first = 0;
  do {
    *--first = (char)('0' + value % 10);
    value /= 10;
  } while (value);
  print(first);
}

void fail(const char *what, uint32_t value) {
  print("stress: FAILED: ");
  print(what);
  print(": ");
  print_number(value);
  print("\n");
  power_off();
  __builtin_unreachable();
}
