// Another program as a child process: what runs between fork(2) and execve(2) may only call what is
// async-signal-safe, and Swift cannot promise that.
#pragma once

#include <stddef.h>

enum { CLINUX_INHERITED_LIMIT = 13 };

// Starts a program with `inherited` as its descriptors from 3 on, /dev/null as its input, and
// `output` as both of its outputs, -1 for /dev/null. Nothing else is inherited: no descriptor, no
// blocked or ignored signal, no terminal. The kernel kills it when the calling thread ends, unless
// it changes its user. Returns a descriptor of the process (pidfd_open(2)) and its number, or -1
// with the `errno` of the step that failed, execve(2) included; EINVAL for more descriptors than
// the limit.
int clinux_spawn(
    const char *_Nonnull path, char *_Nullable const *_Nonnull arguments,
    char *_Nullable const *_Nonnull environment, const int *_Nonnull inherited, size_t count,
    int output, int *_Nonnull number);

// SIGTERM or another signal to the process of a descriptor. Returns 0 or -1.
int clinux_signal_process(int process, int signal);

// Takes the status of a child that has ended, as waitpid(2) gives it. Returns its number, 0 while it
// runs, or -1.
int clinux_reap(int number, int *_Nonnull status);
