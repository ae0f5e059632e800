// Who started this program, and with which words.
#pragma once

#include <efi.h>

struct invocation {
  // FALSE: the boot manager did, and there is nobody to return to.
  BOOLEAN is_from_shell;
  // The word --off.
  BOOLEAN asks_power_off;
  // The first word that has no meaning, or NULL.
  const CHAR16 *unknown_word;
};

struct invocation find_invocation(EFI_HANDLE image);
