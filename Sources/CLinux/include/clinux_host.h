// Functions of the C library that are GNU extensions, which the importer does not see.
#pragma once

#include <stdint.h>

// Declared here and not by <string.h> and <sys/eventfd.h>, which are Glibc's.
const char *_Nullable strerrorname_np(int number);
const char *_Nullable strerrordesc_np(int number);
int eventfd(unsigned initial, int flags);

// "ENOSPC"; NULL for a number without a name. Constant, in every locale.
static inline const char *_Nullable clinux_error_name(int number) {
  return strerrorname_np(number);
}

// "No space left on device"; NULL for a number without a text. Not translated: unlike strerror(3) it
// takes no lock, reads no file and allocates nothing.
static inline const char *_Nullable clinux_error_text(int number) {
  return strerrordesc_np(number);
}

// An eventfd at 0 that is closed on exec: EFD_CLOEXEC; and EFD_NONBLOCK, so that no use of it waits.
static inline int clinux_eventfd(void) { return eventfd(0, 02000000 | 04000); }
