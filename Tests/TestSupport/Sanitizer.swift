import Glibc

/// Whether the tests run with the address or the thread sanitizer.
public enum Sanitizer {
  // SAFETY: names are lent, terminated, for the calls; nothing is done with what is found.
  public static var isActive: Bool {
    unsafe dlsym(nil, "__asan_init") != nil || dlsym(nil, "__tsan_init") != nil
  }
}
