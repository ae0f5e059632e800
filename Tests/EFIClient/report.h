// What goes to the console: a table for people, then lines "@ NAME VALUE" for programs. Numbers are
// decimal, or hexadecimal with 0x and, as gnu-efi prints them, capital digits.
#pragma once

#include "answer.h"
#include "page_check.h"

void print_report(const struct answer *answer, const struct page_counts *counts);

// The last two lines, "@ outcome ..." and "@ done".
void print_outcome(EFI_STATUS outcome);
