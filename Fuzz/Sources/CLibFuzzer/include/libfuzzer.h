#ifndef LIBFUZZER_H
#define LIBFUZZER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/// libFuzzer's main loop (LLVM, "Using libFuzzer as a library").
int LLVMFuzzerRunDriver(
    int *_Nonnull argc, char *_Nullable *_Nonnull *_Nonnull argv,
    int (*_Nonnull one_input)(const uint8_t *_Nullable bytes, size_t count));

/// Ends the process. Not _exit(2): before a call that never returns AddressSanitizer asks for sigaltstack(2),
/// which no sandbox allows.
static inline void clibfuzzer_end(int status) { syscall(SYS_exit_group, status); }

#endif
