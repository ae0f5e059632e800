internal import Bytes
internal import DeviceKit

/// What firmware can ask for by number and, for files, by name: the contents of a
/// `FirmwareConfiguration`.
///
/// Source: QEMU's firmware configuration device, docs/specs/fw_cfg.
public struct FirmwareItems: Sendable {
  /// Numbers of items that are not files.
  private enum Selector {
    static let signature: UInt16 = 0x00
    static let features: UInt16 = 0x01
    static let uuid: UInt16 = 0x02
    static let memoryByteCount: UInt16 = 0x03
    static let vcpuCount: UInt16 = 0x05
    static let maximumVCPUCount: UInt16 = 0x0F
    static let directory: UInt16 = 0x19
    static let firstFile: UInt16 = 0x20
  }

  /// One of the directory's entries.
  private struct File: Sendable {
    let name: String
    let byteCount: Int
    let selector: UInt16
  }

  /// Traditional ports (bit 0) and DMA (bit 1).
  private static let features: UInt32 = 0b11
  /// *FW_CFG_MAX_FILE_PATH*: the field of a name, with the zero that ends it.
  private static let nameByteCount = 56
  /// More than anybody gives; each is a number below 0x4000.
  public static let maximumFileCount = 0x1000
  /// A size has 32 bits in the directory; this keeps a mistaken path from filling memory.
  public static let maximumFileByteCount = 256 << 20

  /// Files whose contents are made once the guest asks for one of them.
  private struct LateFiles: Sendable {
    let selectors: [UInt16]
    let contents: @Sendable () -> [[UInt8]]
  }

  /// A file whose bytes change while the guest runs. All closures are called on a vCPU's thread
  /// under the device's lock.
  public struct LiveFile: Sendable {
    let name: String
    let byteCount: Int
    let contents: @Sendable () -> [UInt8]
    let onWrite: (@Sendable ([UInt8]) -> Void)?

    /// - Parameters:
    ///   - contents: asked for its `byteCount` bytes whenever the guest chooses the file.
    ///   - onWrite: takes all its bytes after a write of some; nil for a file that cannot be
    ///     written.
    public init(
      name: String, byteCount: Int, contents: @escaping @Sendable () -> [UInt8],
      onWrite: (@Sendable ([UInt8]) -> Void)? = nil
    ) {
      self.name = name
      self.byteCount = byteCount
      self.contents = contents
      self.onWrite = onWrite
    }
  }

  private var items: [UInt16: [UInt8]]
  private var files: [File] = []
  private var lateFiles: [LateFiles] = []
  private var liveFiles: [UInt16: LiveFile] = [:]
  /// Those of `lateFiles` that have been completed.
  private var completed: [UInt16] = []

  /// The items of a machine, without files.
  ///
  /// - Parameter uuid: of the machine, as SMBIOS orders its 16 bytes.
  public init(vcpuCount: Int, memoryByteCount: UInt64, uuid: [UInt8]) {
    let count = UInt16(clamping: vcpuCount).littleEndianBytes
    items = [
      Selector.signature: Array("QEMU".utf8),
      Selector.features: Self.features.littleEndianBytes,
      Selector.uuid: uuid,
      Selector.memoryByteCount: memoryByteCount.littleEndianBytes,
      Selector.vcpuCount: count,
      Selector.maximumVCPUCount: count,
    ]
    updateDirectory()
  }

  /// Adds a file.
  ///
  /// - Throws: `FirmwareItemError` for a name that is empty, too long, not ASCII or taken, and for
  ///   too many bytes or files.
  public mutating func add(_ name: String, _ bytes: [UInt8]) throws(FirmwareItemError) {
    items[try addEntry(name, byteCount: bytes.count)] = bytes
  }

  /// Adds files that belong together and whose contents depend on what firmware does before it
  /// reads them.
  ///
  /// Firmware may read the directory early, so their lengths are fixed now.
  ///
  /// - Parameters:
  ///   - files: names and lengths; what the contents do not fill is zero, what they have beyond is
  ///     cut.
  ///   - contents: the files' bytes, in their order. Called once, on a vCPU's thread under the
  ///     device's lock, when one of the files is first chosen.
  /// - Throws: as `add`.
  public mutating func addLate(
    _ files: [(name: String, byteCount: Int)], contents: @escaping @Sendable () -> [[UInt8]]
  ) throws(FirmwareItemError) {
    var selectors: [UInt16] = []
    for (name, byteCount) in files {
      selectors.append(try addEntry(name, byteCount: byteCount))
    }
    lateFiles.append(LateFiles(selectors: selectors, contents: contents))
  }

  /// Adds a file that changes.
  ///
  /// - Throws: as `add`.
  public mutating func addLive(_ file: LiveFile) throws(FirmwareItemError) {
    liveFiles[try addEntry(file.name, byteCount: file.byteCount)] = file
  }

  private mutating func addEntry(
    _ name: String, byteCount: Int
  ) throws(FirmwareItemError) -> UInt16 {
    guard !name.isEmpty, name.utf8.count < Self.nameByteCount,
      name.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
    else { throw .name(name, maximumByteCount: Self.nameByteCount - 1) }
    guard !files.contains(where: { $0.name == name }) else { throw .taken(name) }
    guard byteCount <= Self.maximumFileByteCount else {
      throw .tooLarge(name, byteCount: byteCount)
    }
    guard files.count < Self.maximumFileCount else { throw .tooMany }
    let selector = Selector.firstFile + UInt16(files.count)
    files.append(File(name: name, byteCount: byteCount, selector: selector))
    updateDirectory()
    return selector
  }

  /// Makes the contents of an item that has none yet, or may have others now.
  mutating func complete(_ selector: UInt16) {
    if let live = liveFiles[selector] {
      items[selector] = Self.fitting(live.contents(), live.byteCount)
    }
    guard let index = lateFiles.firstIndex(where: { $0.selectors.contains(selector) }) else {
      return
    }
    let late = lateFiles.remove(at: index)
    completed += late.selectors
    for (selector, bytes) in zip(late.selectors, late.contents()) {
      guard let file = files.first(where: { $0.selector == selector }) else { continue }
      items[selector] = Self.fitting(bytes, file.byteCount)
    }
  }

  private static func fitting(_ bytes: [UInt8], _ byteCount: Int) -> [UInt8] {
    let used = bytes.prefix(byteCount)
    return used + [UInt8](repeating: 0, count: byteCount - used.count)
  }

  /// Replaces bytes of an item that was chosen, if it can be written and has them.
  mutating func write(_ bytes: [UInt8], to selector: UInt16, at offset: Int) -> Bool {
    guard let file = liveFiles[selector], let onWrite = file.onWrite, var item = items[selector],
      item.count == file.byteCount, offset <= item.count, bytes.count <= item.count - offset
    else { return false }
    item.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
    items[selector] = item
    onWrite(item)
    return true
  }

  /// An item's bytes; none for a number that nothing has.
  subscript(selector: UInt16) -> [UInt8] {
    items[selector] ?? []
  }

  /// Big-endian, unlike the items: count, then size, number, a reserved field and the name of each.
  private mutating func updateDirectory() {
    var bytes = UInt32(files.count).bigEndianBytes
    for file in files.sorted(by: { $0.name < $1.name }) {
      let name = Array(file.name.utf8)
      bytes += UInt32(file.byteCount).bigEndianBytes
      bytes += file.selector.bigEndianBytes + [0, 0]
      bytes += name + [UInt8](repeating: 0, count: Self.nameByteCount - name.count)
    }
    items[Selector.directory] = bytes
  }
}

/// Why a file cannot be handed to firmware.
public enum FirmwareItemError: Error, Equatable, Sendable, CustomStringConvertible {
  case name(String, maximumByteCount: Int)
  case taken(String)
  case tooLarge(String, byteCount: Int)
  case tooMany

  /// One line: the item, and what is wrong with it.
  public var description: String {
    switch self {
    case .name(let name, let maximumByteCount):
      "firmware file name \"\(name)\": 1 to \(maximumByteCount) printable ASCII characters without "
        + "spaces are possible, such as opt/org.example/name"
    case .taken(let name):
      "firmware file \(name) is there already; choose another name, below opt/"
    case .tooLarge(let name, let byteCount):
      "firmware file \(name) has \(byteCount) bytes; at most "
        + "\(FirmwareItems.maximumFileByteCount) are possible"
    case .tooMany:
      "more than \(FirmwareItems.maximumFileCount) firmware files"
    }
  }
}

extension FirmwareItems {
  /// What was completed, and live files as they were last seen; the rest is the machine's kind.
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integers(&completed, maximumCount: Self.maximumFileCount)
    let possible = Set(lateFiles.flatMap(\.selectors))
    try transfer.check(
      Set(completed).count == completed.count && possible.isSuperset(of: completed),
      "a file that this machine does not have")
    for selector in completed + liveFiles.keys.sorted() {
      guard let file = files.first(where: { $0.selector == selector }) else { continue }
      var bytes = items[selector] ?? []
      try transfer.bytes(&bytes, maximumCount: file.byteCount)
      // A live file that was never chosen has no bytes yet; what takes a write counts on all.
      try transfer.check(
        bytes.count == file.byteCount || (bytes.isEmpty && liveFiles[selector] != nil),
        "\(bytes.count) bytes of \(file.name)")
      items[selector] = bytes
    }
    lateFiles.removeAll { late in late.selectors.contains { completed.contains($0) } }
  }
}
