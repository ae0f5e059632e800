internal import DeviceKit
internal import GuestMemory
internal import Synchronization

/// The two pages of *Doorbell Buffer Config* (NVMe 1.3 §5.7 and §7.13), by which a guest saves the
/// exits of doorbells.
///
/// A guest writes a doorbell's value into the first page, *Shadow Doorbell*, and goes on to the
/// register only if that steps over the value in the second, *EventIdx*, which the controller
/// writes. Entries lie as the registers do. All that is read is the guest's choice, and checked by
/// `NVMeQueueSet` exactly as a register's value is.
///
/// Of the admin queues the registers count, which a guest has to write in any case; some drivers do
/// not know shadows there. The event indices are where each step passes them, for those that do.
struct NVMeShadowDoorbells: Hashable, Sendable {
  /// Which of a queue pair's two doorbells.
  enum Kind: UInt64, Sendable {
    case tail = 0
    case head = 4
  }

  private var values: GPA
  private var eventIndices: GPA

  /// The pages that a command names.
  ///
  /// - Throws: `invalidField` if one does not begin at a page's border, `dataTransferError` if one
  ///   is not RAM.
  init(_ command: NVMeCommand, _ memory: GuestMemory) throws(NVMeFailure) {
    for page in [command.prp1, command.prp2] {
      guard page % UInt64(NVMeDataBuffer.pageByteCount) == 0 else {
        throw NVMeFailure(.invalidField)
      }
      guard memory.isRAM(GPA(page), byteCount: NVMeDataBuffer.pageByteCount) else {
        throw NVMeFailure(.dataTransferError)
      }
    }
    values = GPA(command.prp1)
    eventIndices = GPA(command.prp2)
  }

  /// What the guest wrote last.
  func value(_ kind: Kind, of queue: Int, in memory: GuestMemory) -> UInt32? {
    guard let place = Self.place(kind, queue, values) else { return nil }
    // Not torn: four aligned bytes are one access on x86-64.
    let value: UInt32? = try? memory.load(at: place)
    // What the guest wrote before, the commands themselves, is read after.
    atomicMemoryFence(ordering: .acquiring)
    return value
  }

  /// Gives an entry the value that the controller knows, as its register has it.
  func setValue(_ value: UInt32, _ kind: Kind, of queue: Int, in memory: GuestMemory) {
    guard let place = Self.place(kind, queue, values) else { return }
    try? memory.store(value, at: place)
  }

  /// Tells the guest to ring when it steps over `index`.
  ///
  /// The guest writes its value, then reads the index; here the index is written, and the caller
  /// reads the value then. Both sides have a full fence between, so at least one of them sees the
  /// other: either the guest rings or the caller finds the value.
  func setEventIndex(_ index: UInt32, _ kind: Kind, of queue: Int, in memory: GuestMemory) {
    guard let place = Self.place(kind, queue, eventIndices) else { return }
    try? memory.store(index, at: place)
    // A store and a later load are the one pair that x86-64 turns round, and a write of
    // `GuestMemory` is no full barrier.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
  }

  /// Within the page: there are 255 queue pairs at most.
  private static func place(_ kind: Kind, _ queue: Int, _ page: GPA) -> GPA? {
    page.advanced(by: 8 * UInt64(queue) + kind.rawValue)
  }
}

extension NVMeShadowDoorbells {
  /// Pages to restore.
  init() {
    (values, eventIndices) = (GPA(0), GPA(0))
  }

  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.value(&values)
    try transfer.value(&eventIndices)
    try transfer.check(
      values.offsetInPage == 0 && eventIndices.offsetInPage == 0,
      "shadow doorbells at \(values) and \(eventIndices)")
  }
}
