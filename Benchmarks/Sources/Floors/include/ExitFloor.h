#pragma once

#include <stddef.h>
#include <stdint.h>

// A virtual machine in plain C that answers one kind of exit, with the fewest instructions.
struct exit_floor;

// How the guest's hypercalls reach it.
enum exit_floor_hypercalls {
  EXIT_FLOOR_NO_HYPERCALLS,
  // By an `out` from the hypercall page; registers come in the run page.
  EXIT_FLOOR_HYPERCALLS_BY_PORT,
  // KVM_EXIT_HYPERV.
  EXIT_FLOOR_HYPERCALLS_BY_KVM,
};

// A machine with this image (exits.S, orders filled in), laid out as the VMM under test lays it out; NULL, with
// a message on standard error, if KVM refuses.
struct exit_floor *_Nullable exit_floor_make(const uint8_t *_Nonnull image, size_t byte_count,
                                             enum exit_floor_hypercalls hypercalls);

// Runs the guest from one EXITS_PORT_BEGIN to the next EXITS_PORT_END: the nanoseconds between the two, or
// -1 after an unexpected exit.
int64_t exit_floor_round(struct exit_floor *_Nonnull floor);

void exit_floor_free(struct exit_floor *_Nonnull floor);
