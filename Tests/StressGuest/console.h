// The serial port, for people.
#pragma once

#include <stdint.h>

void print(const char *text);
void print_number(uint32_t value);

// Prints what is wrong, and powers off: the last line of a run that went well is missing then.
_Noreturn void fail(const char *what, uint32_t value);
