internal import Devices

/// One `--disk`: a file name, and what follows it after commas.
struct DiskOption: Equatable, Sendable {
  private static let readOnlyWord = "readonly"
  private static let formatKey = "format"
  private static let serialKey = "serial"
  private static let blockSizeKey = "block-size"
  private static let blockSizes: [UInt64] = [512, 4096]
  /// For messages.
  private static let choices = [
    readOnlyWord, "\(serialKey)=TEXT", "\(blockSizeKey)=512|4096", "\(formatKey)=\(rawFormat)",
  ]
  /// The only format. It need not be said, unless the image begins as one of another format does.
  private static let rawFormat = "raw"

  var path: String
  var isReadOnly = false
  /// Whether the image is raw whatever it begins with.
  var isKnownRaw = false
  /// Nil for one that is made from the file's path.
  var serial: String?
  /// Bytes of a sector as the guest sees it.
  var sectorByteCount: UInt64 = 512

  init(
    path: String, isReadOnly: Bool = false, isKnownRaw: Bool = false, serial: String? = nil,
    sectorByteCount: UInt64 = 512
  ) {
    self.path = path
    self.isReadOnly = isReadOnly
    self.isKnownRaw = isKnownRaw
    self.serial = serial
    self.sectorByteCount = sectorByteCount
  }

  /// `FILE[,readonly][,serial=TEXT][,block-size=512|4096][,format=raw]`, the words in any order.
  /// Two commas stand for one in a name or a value: they end at a single one.
  init(parsing text: String) throws(UsageError) {
    let name = OptionDefinition.disk.name
    let words = Self.split(text)
    guard let path = words.first, !path.isEmpty else {
      throw .missingValue(option: name, placeholder: OptionDefinition.disk.placeholder ?? "")
    }
    self.init(path: path)
    var keys: Set<String> = []
    for word in words.dropFirst() {
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let value = parts.count == 2 ? String(parts[1]) : nil
      switch (String(parts[0]), value) {
      case (Self.readOnlyWord, nil):
        isReadOnly = true
      case (Self.formatKey, let value?):
        guard value == Self.rawFormat else { throw .unknownImageFormat(option: name, value) }
        isKnownRaw = true
      case (Self.serialKey, let value?):
        guard NVMeIdentity.isSerial(value) else {
          throw .invalidSerial(option: "\(name) FILE,\(Self.serialKey)=", value)
        }
        serial = value
      case (Self.blockSizeKey, let value?):
        guard let size = UInt64(value), Self.blockSizes.contains(size) else {
          throw .unknownChoice(
            option: "\(name) FILE,\(Self.blockSizeKey)=", value,
            choices: Self.blockSizes.map { "\($0)" }, nearest: nil)
        }
        sectorByteCount = size
      default:
        throw .unknownChoice(
          option: "\(name) FILE,", word, choices: Self.choices,
          nearest: NearestName.nearest(to: word, among: Self.choices))
      }
      // A flag may be said twice; two values would leave open which one is meant.
      guard value == nil || keys.insert(String(parts[0])).inserted else {
        throw .repeatedWord(option: "\(name) FILE,", "\(parts[0])=")
      }
    }
  }

  /// The parts between single commas, each with its doubled commas as single ones.
  private static func split(_ text: String) -> [String] {
    var words = [""]
    var rest = text[...]
    while let character = rest.popFirst() {
      if character != "," {
        words[words.count - 1].append(character)
      } else if rest.first == "," {
        words[words.count - 1].append(rest.removeFirst())
      } else {
        words.append("")
      }
    }
    return words
  }
}
