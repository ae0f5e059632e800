internal import CLinux

/// The C library's allocator, which asks the kernel for things by itself.
public enum Allocator {
  /// Keeps glibc's malloc and free from opening files, which most threads are forbidden to do.
  ///
  /// - free gives the top of a heap that is not the first thread's back once 128 KiB of it are
  ///   free, and before it does so for the first time it reads `/proc/sys/vm/overcommit_memory`
  ///   (*heap_trim*, *check_may_shrink_heap*). With *M_TRIM_THRESHOLD* at -1 it keeps it.
  /// - malloc gives each thread an arena of its own, up to eight for each processor, which from the
  ///   ninth thread on it counts in `/sys/devices/system/cpu/online` (*arena_get2*). With
  ///   *M_ARENA_MAX* set it does not.
  /// - Either setting would end the growth of *M_MMAP_THRESHOLD* at 128 KiB, from where on a block
  ///   is mapped and unmapped each time. It is set to 1 MiB.
  ///
  /// Memory that was used once so stays with the process, up to blocks of 1 MiB. For the whole
  /// process, for good, as often as you like; before its threads are made. `Sandbox.enterProcess`
  /// does it. Another allocator that was linked in is not concerned, and has to keep to the list by
  /// itself. Source: mallopt(3), malloc/arena.c of glibc 2.36 and 2.41 as Debian has them.
  public static func keepFromFiles() {
    clinux_allocator_keeps_memory()
  }
}
