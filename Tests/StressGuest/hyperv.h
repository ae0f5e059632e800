// The Hyper-V interface, as far as it concerns zeroed memory.
#pragma once

#include <stdint.h>

// Enables the hypercall page, for all processors.
void hyperv_start(void);

// Asks for the capabilities and for the zeroed memory, and checks the answer: it has the page that is never
// touched, and none of the pages from `touched` to `touched_end` (addresses), nor of this program. The page
// of the reply is the caller's own.
void hyperv_ask(uint8_t *reply, uint32_t touched, uint32_t touched_end);
