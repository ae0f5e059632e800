#include "invocation.h"

#include <efilib.h>
#include <efishell.h>

// The load options would not tell: a boot entry may have some too.
struct invocation find_invocation(EFI_HANDLE image) {
  struct invocation invocation = {0};
  EFI_GUID guid = EFI_SHELL_PARAMETERS_PROTOCOL_GUID;
  EFI_SHELL_PARAMETERS_PROTOCOL *parameters;
  const EFI_STATUS status = BS->HandleProtocol(image, &guid, (void **)&parameters);
  invocation.is_from_shell = !EFI_ERROR(status);
  if (!invocation.is_from_shell) return invocation;
  // The first word is the program's name.
  for (UINTN i = 1; i < parameters->Argc; i++) {
    if (StrCmp(parameters->Argv[i], L"--off") == 0) {
      invocation.asks_power_off = TRUE;
    } else if (!invocation.unknown_word) {
      invocation.unknown_word = parameters->Argv[i];
    }
  }
  return invocation;
}
