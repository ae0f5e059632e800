/// Lives as long as any of a guest's memory is mapped, and no longer than somebody holds it beyond.
///
/// Hold it weakly: once it is gone, the host has the memory and its address space again. The memory
/// itself does not say so: it is let go of before it is unmapped, and by more than one.
package final class MappingLifetime: Sendable {
  init() {}
}
