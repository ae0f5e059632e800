// The processor and the PC: ports, registers, memory.
#pragma once

#include <stdbool.h>
#include <stdint.h>

static inline void out8(uint16_t port, uint8_t value) {
  __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static inline void out16(uint16_t port, uint16_t value) {
  __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port));
}

static inline void out32(uint16_t port, uint32_t value) {
  __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static inline uint16_t in16(uint16_t port) {
  uint16_t value;
  __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static inline uint32_t in32(uint16_t port) {
  uint32_t value;
  __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static inline void write_msr(uint32_t index, uint32_t value) {
  __asm__ volatile("wrmsr" ::"c"(index), "a"(value), "d"(0) : "memory");
}

// A 32-bit word of memory, or a device's register.
static inline volatile uint32_t *word_at(uint32_t address) {
  return (volatile uint32_t *)address;
}

static inline void pause_processor(void) { __asm__ volatile("pause"); }

// The first byte behind what was loaded of this program; memory behind it that it does not use stays zero.
extern char loaded_end[];

// S5, by the power management's control register.
static inline void power_off(void) {
  out16(0x604, 0x2000);
  for (;;) __asm__ volatile("hlt");
}

static inline void reset_machine(void) {
  out8(0xCF9, 6);
  for (;;) __asm__ volatile("hlt");
}
