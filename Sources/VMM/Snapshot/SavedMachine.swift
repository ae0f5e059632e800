internal import Bytes
public import DeviceKit
public import GuestMemory
internal import ZeroTracker

/// A machine that was saved: its parts, and which pages of its memory are in the file beside them.
///
/// A value, which `encoded` turns into bytes for a file. What belongs to the guest and is
/// elsewhere, as the content of disks, is not in it and has to be as it was.
public struct SavedMachine: Hashable, Sendable {
  /// vCPUs, what is in the kernel, devices; and whatever else whoever keeps it adds.
  public var state = SavedState()
  /// The pages that are not zero, ascending.
  public var memory: [SavedPages] = []

  /// Nothing.
  public init() {}

  private static let signature = Array("vmm-run saved\0\0\0".utf8)
  /// Another number is another format, which this program does not read.
  private static let version: UInt32 = 1
  private static let checksumByteCount = 8
  private static let maximumPartCount = 4096
  private static let maximumNameByteCount = 256
  /// A frame buffer of 1 GiB would be the largest part.
  private static let maximumPartByteCount = 2 << 30

  /// What a file holds.
  public var encoded: [UInt8] {
    var transfer = StateTransfer()
    var copy = self
    do throws(StateError) {
      try copy.transfer(&transfer)
    } catch {
      // Names and counts are ours, and within the limits.
      preconditionFailure("a saved machine that cannot be written: \(error)")
    }
    let body = Self.signature + Self.version.littleEndianBytes + transfer.bytes
    return body + Self.checksum(of: body[...]).littleEndianBytes
  }

  /// Reads what `encoded` made.
  ///
  /// - Parameter bytes: any bytes.
  /// - Throws: `SavedMachineError`.
  public init(decoding bytes: [UInt8]) throws(SavedMachineError) {
    let headerByteCount = Self.signature.count + 4
    guard bytes.count >= headerByteCount, bytes.starts(with: Self.signature) else {
      throw .format("it is no saved machine")
    }
    // Before the checksum, which another version may have another of.
    let version: UInt32 = bytes.loadLE(at: Self.signature.count)
    guard version == Self.version else {
      throw .format(
        "it has version \(version) of the format and this program knows \(Self.version); use the"
          + " program that saved it")
    }
    let end = bytes.count - Self.checksumByteCount
    guard end >= headerByteCount, Self.checksum(of: bytes[..<end]) == bytes.loadLE(at: end) else {
      throw .format("it is cut short or damaged")
    }
    var transfer = StateTransfer(restoring: Array(bytes[headerByteCount..<end]))
    do throws(StateError) {
      try self.transfer(&transfer)
      try transfer.finish()
    } catch {
      throw .format("\(error)")
    }
  }

  private static func checksum(of bytes: ArraySlice<UInt8>) -> UInt64 {
    // SAFETY: bytes are lent for the call.
    unsafe bytes.withUnsafeBytes { unsafe PageChecksum.value(of: $0) }
  }

  private mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    var parts = state.parts.map { (name: Array($0.name.utf8), bytes: $0.bytes) }
    try transfer.elements(&parts, maximumCount: Self.maximumPartCount, new: ([], [])) {
      (transfer, part) throws(StateError) in
      try transfer.bytes(&part.name, maximumCount: Self.maximumNameByteCount)
      try transfer.bytes(&part.bytes, maximumCount: Self.maximumPartByteCount)
    }
    try transfer.elements(
      &memory, maximumCount: 1 << 30,
      new: SavedPages(pages: PageRange(start: GPN(rawValue: 0), pageCount: 1), checksum: 0)
    ) { (transfer, saved) throws(StateError) in
      var (start, count) = (saved.pages.start.rawValue, saved.pages.pageCount)
      try transfer.integer(&start, in: 0...(1 << 40))
      try transfer.integer(&count, in: 1...(1 << 30))
      try transfer.integer(&saved.checksum)
      saved.pages = PageRange(start: GPN(rawValue: start), pageCount: count)
    }
    guard transfer.isRestoring else { return }
    state = SavedState()
    var names: Set<String> = []
    for part in parts {
      let name = String(decoding: part.name, as: UTF8.self)
      guard names.insert(name).inserted else { throw .invalid("two parts \(name)") }
      state.add(part.bytes, as: name)
    }
  }
}

/// Why a machine cannot be saved or restored. One line.
public enum SavedMachineError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The machine is not paused.
  case notPaused
  /// The run ended meanwhile, or a vCPU did not come.
  case interrupted
  case part(SavedStateError)
  case machine(MachineError)
  /// The bytes are no saved machine that this program can read.
  case format(String)

  public var description: String {
    switch self {
    case .notPaused: "the machine is not paused, or is being saved already"
    case .interrupted: "the machine ended, or a vCPU did not rest, before it was saved"
    case .part(let error): error.description
    case .machine(let error): error.description
    case .format(let text): text
    }
  }
}
