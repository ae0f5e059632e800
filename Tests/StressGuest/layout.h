// Where things are in the 128 MiB of this guest.
#pragma once

enum {
  // Where disks write to, in turn.
  target_start = 0x2000000,
  target_end = 0x6000000,
  untouched_page = 0x7000000,
  // Where the other processor starts: a page below 1 MiB.
  other_page = 0x8000,
  // Where nothing is: neither memory nor a device.
  nothing_start = 0x40000000,
};
