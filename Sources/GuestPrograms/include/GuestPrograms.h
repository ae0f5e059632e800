#pragma once

#include <stddef.h>

// Flat 64-bit images. Each is copied to GPA 0x100000 and entered at its first byte; the copy holds
// the program's data as well, so it must be writable in the guest.
//
// Swift imports an array of unknown length badly, therefore functions stand before the symbols.

extern const unsigned char guest_demo_start[];
extern const unsigned char guest_demo_end[];
extern const unsigned char guest_firmware_start[];
extern const unsigned char guest_firmware_end[];
extern const unsigned char guest_hello_start[];
extern const unsigned char guest_hello_end[];
extern const unsigned char guest_probe_start[];
extern const unsigned char guest_probe_end[];
extern const unsigned char guest_storm_start[];
extern const unsigned char guest_storm_end[];
extern const unsigned char guest_trim_start[];
extern const unsigned char guest_trim_end[];

// Treats memory at boot as Windows does: asks which pages are zeroed, zeroes the others, and then
// checks that what was reported was true.
static inline const unsigned char *_Nonnull guest_demo_bytes(void) { return guest_demo_start; }
static inline size_t guest_demo_byte_count(void) {
  return (size_t)(guest_demo_end - guest_demo_start);
}

// Not flat: 4 KiB for the end of the first 4 GiB, entered at the reset vector.
static inline const unsigned char *_Nonnull guest_firmware_bytes(void) {
  return guest_firmware_start;
}
static inline size_t guest_firmware_byte_count(void) {
  return (size_t)(guest_firmware_end - guest_firmware_start);
}

// Prints "hello\n" and exits with status 0.
static inline const unsigned char *_Nonnull guest_hello_bytes(void) { return guest_hello_start; }
static inline size_t guest_hello_byte_count(void) {
  return (size_t)(guest_hello_end - guest_hello_start);
}

// Runs a script that a test left in memory: hypercalls, MSRs, CPUID, with faults recorded.
static inline const unsigned char *_Nonnull guest_probe_bytes(void) { return guest_probe_start; }
static inline size_t guest_probe_byte_count(void) {
  return (size_t)(guest_probe_end - guest_probe_start);
}

// Some vCPUs call 0x8002 in a loop while the others write at random.
static inline const unsigned char *_Nonnull guest_storm_bytes(void) { return guest_storm_start; }
static inline size_t guest_storm_byte_count(void) {
  return (size_t)(guest_storm_end - guest_storm_start);
}

// Every vCPU counts in pages of its own, and notes when one lost what it wrote.
static inline const unsigned char *_Nonnull guest_trim_bytes(void) { return guest_trim_start; }
static inline size_t guest_trim_byte_count(void) {
  return (size_t)(guest_trim_end - guest_trim_start);
}
