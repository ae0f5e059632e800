// What scripts/vnc-bench shows to viewers: a guest that draws on a display of 1280x800 and says on its serial port
// when it is ready (R), begins (B) and is done (E), ten seconds later. The command line has what it does: `scroll`,
// all lines up by 16 ten times a second; `block`, a block of 64x64 moves 30 times a second; `idle`, nothing.
// Entered by PVH.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

enum { width = 1280, height = 800, line = 16, cell = 8, side = 64, seconds = 10 };

__asm__(
    ".section .note.pvh, \"a\", @note\n"
    ".long 4, 4, 18\n"  // XEN_ELFNOTE_PHYS32_ENTRY
    ".asciz \"Xen\"\n"
    ".long start\n"
    ".section .text.start, \"ax\"\n"
    ".globl start\n"
    ".code32\n"
    "start: movl $stack_end, %esp\n"
    "movl %ebx, %edi\n"  // struct hvm_start_info
    // Long mode, all memory where it is by pages of 2 MiB: a KVM without hardware's help emulates all else.
    "movl $directories + 7, %eax\n"
    "xorl %ecx, %ecx\n"
    "1: movl %eax, pointers(,%ecx,8)\n"
    "addl $4096, %eax\n"
    "incl %ecx\n"
    "cmpl $4, %ecx\n"
    "jne 1b\n"
    "movl $0x87, %eax\n"
    "xorl %ecx, %ecx\n"
    "2: movl %eax, directories(,%ecx,8)\n"
    "addl $0x200000, %eax\n"
    "incl %ecx\n"
    "cmpl $2048, %ecx\n"
    "jne 2b\n"
    "movl $pointers + 7, top\n"
    "movl $0x20, %eax\n"  // PAE
    "movl %eax, %cr4\n"
    "movl $top, %eax\n"
    "movl %eax, %cr3\n"
    "movl $0xC0000080, %ecx\n"  // EFER: LME, SCE
    "movl $0x101, %eax\n"
    "xorl %edx, %edx\n"
    "wrmsr\n"
    "movl $0x80000011, %eax\n"
    "movl %eax, %cr0\n"
    "lgdtl table_pointer\n"
    "ljmpl $8, $3f\n"
    ".code64\n"
    "3: movl $16, %eax\n"
    "movl %eax, %ds\n"
    "movl %eax, %es\n"
    "movl %eax, %ss\n"
    // To ring 3, with input and output allowed: that KVM emulates ring 0, too.
    "movl $0xC0000081, %ecx\n"  // STAR
    "xorl %eax, %eax\n"
    "movl $0x00100008, %edx\n"
    "wrmsr\n"
    "movl $stack_end - 8, %esp\n"
    "movl $run, %ecx\n"
    "movl $0x3002, %r11d\n"
    "sysretq\n"
    ".section .rodata\n"
    ".balign 8\n"
    "table: .quad 0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF, 0x00CFF3000000FFFF, 0x00AFFB000000FFFF\n"
    "table_pointer: .word table_pointer - table - 1\n"
    ".long table\n"
    ".bss\n"
    ".balign 4096\n"
    "top: .space 4096\n"
    "pointers: .space 4096\n"
    "directories: .space 16384\n"
    ".space 16384\n"
    "stack_end:\n"
    ".text\n");

static u32 saved[width * height];

static void out8(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

static u8 in8(u16 port) {
  u8 value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static void out32(u16 port, u32 value) { __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port)); }

static u32 in32(u16 port) {
  u32 value;
  __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static u64 ticks(void) {
  u32 low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return (u64)high << 32 | low;
}

static void copy(u32 *to, const u32 *from, u32 count) {
  __asm__ volatile("cld; rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static void fill(u32 *to, u32 value, u32 count) {
  __asm__ volatile("cld; rep stosl" : "+D"(to), "+c"(count) : "a"(value) : "memory");
}

static void wait_until(u64 time) {
  while (ticks() < time) __asm__ volatile("pause");
}

static u32 configuration(u32 device, u32 offset) {
  out32(0xCF8, 0x80000000 | device << 11 | offset);
  return in32(0xCFC);
}

static u8 clock_seconds(void) {
  out8(0x70, 0);
  return in8(0x71);
}

// Ticks of the time-stamp counter in a second, by the real-time clock.
static u32 ticks_per_second(void) {
  u64 start;
  u8 now = clock_seconds();
  while (clock_seconds() == now) {}
  start = ticks();
  now = clock_seconds();
  while (clock_seconds() == now) {}
  return (u32)(ticks() - start);
}

static u32 random_bits(void) {
  static u32 state = 1;
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

// A line of what looks like text.
static void draw_line(u32 *screen, u32 top) {
  for (u32 left = 0; left < width; left += cell) {
    u32 is_space = (random_bits() & 7) == 0;
    for (u32 y = 0; y < line; y++) {
      u32 bits = is_space || y < 3 || y > 12 ? 0 : random_bits() & random_bits();
      for (u32 x = 0; x < cell; x++) {
        screen[(top + y) * width + left + x] = bits >> x & 1 ? 0xC0C0C0 : 0x101020;
      }
    }
  }
}

static void scroll(u32 *screen) {
  copy(screen, screen + line * width, (height - line) * width);
  draw_line(screen, height - line);
}

static void move_block(u32 *screen, u32 step) {
  static u32 left, top;
  for (u32 y = 0; y < side; y++) {
    copy(screen + (top + y) * width + left, saved + (top + y) * width + left, side);
  }
  left = step * 8 % (width - side);
  top = step * 4 % (height - side);
  for (u32 y = 0; y < side; y++) {
    fill(screen + (top + y) * width + left, 0xE06020, side);
  }
}

static void say(u8 letter) { out8(0x3F8, letter); }

__attribute__((noreturn, used)) void run(const u32 *start_info) {
  const char *command = (const char *)(u64)start_info[6];
  u32 device = 0;
  while (device < 32 && configuration(device, 0) != 0x11111234) device++;
  // Memory is decoded.
  u32 status = configuration(device, 4);
  out32(0xCFC, status | 2);
  u32 *screen = (u32 *)(u64)(configuration(device, 0x10) & ~15u);
  volatile u16 *registers = (u16 *)(u64)((configuration(device, 0x18) & ~15u) + 0x500);
  registers[4] = 0;
  registers[8] = registers[9] = 0;
  registers[3] = 32;
  registers[1] = registers[6] = width;
  registers[2] = height;
  registers[4] = 0x41;

  for (u32 top = 0; top < height; top += line) draw_line(screen, top);
  copy(saved, screen, width * height);
  u32 second = ticks_per_second();
  say('R');
  u64 start = ticks() + (u64)5 * second;
  wait_until(start);
  say('B');
  if (command[0] == 's') {
    for (u32 step = 1; step <= 10 * seconds; step++) {
      scroll(screen);
      wait_until(start + (u64)step * (second / 10));
    }
  } else if (command[0] == 'b') {
    for (u32 step = 1; step <= 30 * seconds; step++) {
      move_block(screen, step);
      wait_until(start + (u64)step * (second / 30));
    }
  } else {
    wait_until(start + (u64)seconds * second);
  }
  say('E');
  for (;;) __asm__ volatile("pause");
}
