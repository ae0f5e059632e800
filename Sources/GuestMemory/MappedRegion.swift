/// Where a region of guest RAM is in this process: what registering a memory slot needs.
///
/// Nothing else may use `hostAddress`; all other access goes through `GuestMemory`. Valid as long as
/// the `GuestMemory` lives.
package struct MappedRegion: Hashable, Sendable {
  /// The first byte of the region.
  package let start: GPA
  /// Its length in bytes.
  package let byteCount: UInt64
  /// HVA of the first byte, 2 MiB aligned.
  package let hostAddress: UInt
}
