/// A disk: a raw image or a block device. A thread-safe value.
public struct DiskSpec: Hashable, Sendable {
  /// What `sectorByteCount` may be.
  public static let sectorByteCounts: [UInt64] = [512, 4096]

  public var file: String
  /// What it is attached to.
  public var bus = DiskBus.nvme
  public var isReadOnly = false
  /// Whether the image is raw whatever it begins with.
  public var isKnownRaw = false
  /// Nil for one that is made from the file's path.
  public var serial: String?
  /// Bytes of a sector as the guest sees it.
  public var sectorByteCount: UInt64 = 512
  /// How large an image is made if there is no such file, all zero and without taking space; nil
  /// for none.
  public var newByteCount: ByteCount?

  public init(
    file: String, isReadOnly: Bool = false, isKnownRaw: Bool = false, serial: String? = nil,
    sectorByteCount: UInt64 = 512
  ) {
    self.file = file
    self.isReadOnly = isReadOnly
    self.isKnownRaw = isKnownRaw
    self.serial = serial
    self.sectorByteCount = sectorByteCount
  }

  /// Whether a text can be a serial number as it is: 1 to 20 characters of printable ASCII. Guests
  /// cut spaces at its ends, so there are none.
  public static func isSerial(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    return (1...20).contains(bytes.count) && bytes.allSatisfy { (0x20...0x7E).contains($0) }
      && bytes.first != 0x20 && bytes.last != 0x20
  }

  /// - Parameter part: what of the value the text is, for messages.
  package static func checkSerial(_ text: String, part: String = "") throws(SpecValueError) {
    guard isSerial(text) else {
      throw SpecValueError(
        "\(QuotedText(text)) is no serial number, which has 1 to 20 characters of ASCII, none a "
          + "control character, the first and last no space", part: part)
    }
  }

  /// Guests tell disks apart by them, and Linux drops one whose serial number another one has.
  package static func checkSerials(of disks: [DiskSpec]) throws(SpecValueError) {
    var seen: Set<String> = []
    for serial in disks.compactMap(\.serial) where !seen.insert(serial).inserted {
      throw SpecValueError(
        "two disks have the serial number \(QuotedText(serial)), by which guests tell them apart")
    }
  }

  /// Reads the size of a new image.
  package static func newByteCount(
    parsing text: String, part: String = ""
  ) throws(SpecValueError) -> ByteCount {
    let byteCount: ByteCount
    do throws(ByteCountError) {
      byteCount = try ByteCount(parsing: text)
    } catch {
      throw SpecValueError(error.description, part: part)
    }
    guard byteCount.bytes.isMultiple(of: 1 << 20), byteCount.bytes <= 1 << 50 else {
      throw SpecValueError(
        "\(byteCount.optionText) is no size of a disk: whole MiB, up to 1024T", part: part)
    }
    return byteCount
  }

  /// Reads one of `sectorByteCounts`.
  package static func sectorByteCount(
    parsing text: String, part: String = ""
  ) throws(SpecValueError) -> UInt64 {
    guard let size = UInt64(text), sectorByteCounts.contains(size) else {
      throw .unknown(
        text, choices: sectorByteCounts.map { "\($0)" }, nearest: nil, part: part)
    }
    return size
  }
}

/// What a disk is attached to.
public enum DiskBus: String, Hashable, Sendable, CaseIterable, Codable, SpecChoice {
  /// A controller of its own.
  case nvme
  /// A port of the SATA adapter, for systems that were installed on such a disk.
  case ahci
}

/// A CD or DVD drive. A thread-safe value.
public struct CDROMSpec: Hashable, Sendable {
  /// The image of what is in it, which is only read; nil for nothing.
  public var file: String?
  /// Images that the user may put in after it, one after the other, while the guest runs.
  public var nextFiles: [String]

  public init(file: String? = nil, nextFiles: [String] = []) {
    self.file = file
    self.nextFiles = nextFiles
  }
}

/// What can be plugged into the USB controller, each once.
public enum USBDeviceSpec: String, Hashable, Sendable, CaseIterable, Codable, SpecChoice {
  /// A pointer that is where the viewer has it.
  case tablet
  case keyboard

  /// Reads words, each at most once.
  package static func list(_ words: [String]) throws(SpecValueError) -> [USBDeviceSpec] {
    var devices: [USBDeviceSpec] = []
    for word in words {
      let device = try USBDeviceSpec(parsing: word)
      guard !devices.contains(device) else { throw .repeated(word) }
      devices.append(device)
    }
    return devices
  }
}

/// The emulator of a TPM 2.0: swtpm. A thread-safe value.
public enum TPMSpec: Hashable, Sendable {
  /// Started for the machine, with its state in this directory, which is made if it is missing.
  case directory(String)
  /// One that runs, by its control socket.
  case socket(String)

  /// What is in front of a socket's path; a directory of such a name is `./socket=...`.
  private static let socketPrefix = "socket="

  /// Reads `DIR` or `socket=PATH`.
  package init(parsing text: String) throws(SpecValueError) {
    if text.hasPrefix(Self.socketPrefix) {
      let path = String(text.dropFirst(Self.socketPrefix.count))
      guard !path.isEmpty else {
        throw SpecValueError("needs a path behind \(Self.socketPrefix)")
      }
      self = .socket(path)
    } else {
      self = .directory(text)
    }
  }
}

/// A file to which a run adds line after line.
public struct LogFileSpec: Hashable, Sendable {
  public var file: String
  /// Whether what is there stays; else the file is emptied when the machine is made.
  public var appends: Bool

  public init(file: String, appends: Bool = false) {
    self.file = file
    self.appends = appends
  }
}

/// Where the guest's first serial port goes.
public enum SerialSpec: Hashable, Sendable {
  /// Standard input and output.
  case stdio
  /// A new pseudo-terminal, whose name is printed.
  case pty
  /// Output only, to a file.
  case file(LogFileSpec)
  /// Nowhere; what the guest writes is lost.
  case none
}

/// A display: the size that its monitor prefers, in pixels. A thread-safe value.
public struct DisplaySpec: Hashable, Sendable {
  /// From what Windows asks for to what an EDID can say.
  public static let widths = 1024...4095
  public static let heights = 768...4095

  /// What a display has where nobody asked for another size: 1280x800.
  public static let usual = DisplaySpec(knownWidth: 1280, height: 800)

  public let width: Int
  public let height: Int

  private init(knownWidth width: Int, height: Int) {
    self.width = width
    self.height = height
  }

  /// Nil for a size out of `widths` and `heights`.
  public init?(width: Int, height: Int) {
    guard Self.widths.contains(width), Self.heights.contains(height) else { return nil }
    self.width = width
    self.height = height
  }

  /// Reads `1280x800`.
  public init(parsing text: String) throws(SpecValueError) {
    let numbers = text.split(separator: "x", omittingEmptySubsequences: false).map { part in
      // No sign, which `Int` takes.
      part.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(part) : nil
    }
    guard numbers.count == 2, let width = numbers[0], let height = numbers[1],
      let size = DisplaySpec(width: width, height: height)
    else {
      throw SpecValueError(
        "\(QuotedText(text)) is no size such as 1280x800, from "
          + "\(Self.widths.lowerBound)x\(Self.heights.lowerBound) to "
          + "\(Self.widths.upperBound)x\(Self.heights.upperBound)")
    }
    self = size
  }

  /// As `init(parsing:)` reads it.
  package var text: String { "\(width)x\(height)" }
}
