#include "hyperv.h"

#include "console.h"
#include "layout.h"
#include "machine.h"

enum { guest_os_id = 0x40000000, hypercall_page_register = 0x40000001 };
enum { query_capabilities = 0x8001, get_boot_zeroed_memory = 0x8002 };

static __attribute__((aligned(4096))) uint8_t hypercall_page[4096];
static void *const hypercall_entry = hypercall_page;

void hyperv_start(void) {
  write_msr(guest_os_id, 1);
  write_msr(hypercall_page_register, (uint32_t)hypercall_page | 1);
}

// The calling convention of 32-bit guests: input value in EDX:EAX, addresses of input and output in EBX:ECX and
// EDI:ESI, result in EDX:EAX.
static uint32_t call(uint32_t code, void *output) {
  uint32_t result, high;
  __asm__ volatile("call *%[entry]"
                   : "=a"(result), "=d"(high)
                   : [entry] "m"(hypercall_entry), "a"(code), "d"(0), "b"(0), "c"(0), "S"(output),
                     "D"(0)
                   : "memory", "cc");
  return result & 0xFFFF;
}

void hyperv_ask(uint8_t *reply, uint32_t touched, uint32_t touched_end) {
  uint32_t status = call(query_capabilities, reply);
  if (status) fail("status of 0x8001", status);
  if (!(*word_at((uint32_t)reply) & 1)) fail("0x8002 is not offered", *word_at((uint32_t)reply));

  status = call(get_boot_zeroed_memory, reply);
  if (status) fail("status of 0x8002", status);
  const volatile uint32_t *words = word_at((uint32_t)reply);
  const uint32_t count = words[0];
  if (words[1] || count > 255) fail("count of ranges", count);
  bool has_untouched = false;
  for (uint32_t i = 0; i < count; i++) {
    // Start and count of pages, 64 bits each; all memory is below 4 GiB.
    const uint32_t start = words[2 + 4 * i] << 12;
    const uint32_t end = start + (words[4 + 4 * i] << 12);
    if (start < (uint32_t)loaded_end && end > 0x100000) fail("reported: this program", start);
    if (touched < touched_end && start < touched_end && end > touched)
      fail("reported: what a disk wrote", start);
    has_untouched |= start <= untouched_page && end > untouched_page;
  }
  if (!has_untouched) fail("not reported: memory that was never touched", count);
}
