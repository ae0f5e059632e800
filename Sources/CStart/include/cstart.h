// The command line as the kernel handed it over.
#pragma once

// How many arguments there are, the program's name among them; 0 if execve(2) was given none.
int cstart_argument_count(void);

// Argument `index`, below the count: bytes in no particular encoding. Lives as long as the process.
const char *_Nonnull cstart_argument(int index);
