// boot-zeroed.efi: asks the hypervisor which memory it has zeroed, as an OS loader does, and reads all
// of it.
//
//   boot-zeroed.efi [--off]
//
// Boot services stay on. Started by the boot manager, or with --off, it powers the machine off at the
// end; in the shell it returns. Outcome: success when no reported page of conventional memory holds
// anything but zeroes; aborted when one does; unsupported when nothing can be asked; device error when
// the hypervisor refuses what it offers. The counts of zero pages are printed in each case.
#include "answer.h"
#include "invocation.h"
#include "page_check.h"
#include "report.h"

#include <efilib.h>

// Static: the image's own pages were written when it was loaded, those of a deep stack perhaps not.
static struct answer answer;
static struct page_counts counts;

static EFI_STATUS ask_and_check(void) {
  struct question question;
  struct memory_map map;
  EFI_STATUS status = prepare_question(&question);
  if (EFI_ERROR(status)) {
    Print(L"cannot allocate pages: %r\n", status);
    return status;
  }
  status = reserve_memory_map(&map);
  if (EFI_ERROR(status)) {
    Print(L"cannot get room for the memory map: %r\n", status);
    return status;
  }

  // Until memory is read, timers of drivers must not run: they allocate, write and free.
  const EFI_TPL old_priority = BS->RaiseTPL(TPL_NOTIFY);
  ask(&question, &answer);
  status = take_memory_map(&map);
  if (!EFI_ERROR(status)) check_pages(&map, &answer.zeroed, &counts);
  BS->RestoreTPL(old_priority);

  if (EFI_ERROR(status)) {
    Print(L"cannot get the memory map: %r\n", status);
    return status;
  }
  print_report(&answer, &counts);
  return counts.false_pages > 0 ? EFI_ABORTED : answer_status(answer.stage);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
  InitializeLib(image, table);
  // The boot manager's watchdog resets the machine after five minutes; a large memory may take longer.
  BS->SetWatchdogTimer(0, 0, 0, NULL);
  const struct invocation invocation = find_invocation(image);
  // Behind what the terminal driver sends first, so that no line begins with it.
  Print(L"\n");
  if (invocation.unknown_word) {
    Print(L"boot-zeroed: '%s' means nothing; usage: boot-zeroed.efi [--off]\n",
          invocation.unknown_word);
    return EFI_INVALID_PARAMETER;
  }
  Print(L"Boot-zeroed memory: asking, then reading all conventional memory\n");
  const EFI_STATUS outcome = ask_and_check();
  print_outcome(outcome);
  if (!invocation.is_from_shell || invocation.asks_power_off) {
    RT->ResetSystem(EfiResetShutdown, EFI_SUCCESS, 0, NULL);
  }
  return outcome;
}
