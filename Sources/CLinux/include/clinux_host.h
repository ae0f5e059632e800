// Functions of the C library that are GNU extensions, which the importer does not see.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Declared here and not by <string.h>, <sys/eventfd.h>, <sys/socket.h> and <sys/random.h>, which are
// Glibc's.
const char *_Nullable strerrorname_np(int number);
const char *_Nullable strerrordesc_np(int number);
int eventfd(unsigned initial, int flags);
int accept4(int listener, void *_Nullable address, unsigned *_Nullable length, int flags);
ssize_t getrandom(void *_Nullable bytes, size_t count, unsigned flags);

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

// A connection from a listening socket, closed on exec, which does not wait: SOCK_CLOEXEC and
// SOCK_NONBLOCK.
static inline int clinux_accept(int listener) {
  return accept4(listener, 0, 0, 02000000 | 04000);
}

// Sends bytes over a connected socket of this host, and with them one descriptor (SCM_RIGHTS). No
// SIGPIPE. Returns what sendmsg(2) does.
long clinux_send_descriptor(
    int socket, const void *_Nonnull bytes, unsigned long byte_count, int descriptor);

// Random bytes: how many, or -1. Waits only on a host that has just started.
static inline ssize_t clinux_getrandom(void *_Nullable bytes, size_t count) {
  return getrandom(bytes, count, 0);
}

// On how many processors the calling thread may run; 0 if the kernel does not say.
int clinux_processor_count(void);
