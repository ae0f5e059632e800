// What main() is given, kept before anything else runs: Swift reads it from /proc/self/cmdline, which a
// chroot may lack, and makes text of it that is no longer what was typed.
#include "cstart.h"

static int count;
static char **arguments;

// glibc hands the arguments of main() to constructors, in dynamic and static programs.
__attribute__((constructor)) static void keep_arguments(int argc, char **argv) {
  count = argc;
  arguments = argv;
}

int cstart_argument_count(void) { return count; }

const char *cstart_argument(int index) { return arguments[index]; }
