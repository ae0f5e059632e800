internal import MachineSpecification

/// `--disk`: a file name, and what follows it after commas.
extension DiskSpec {
  private static let readOnlyWord = "readonly"
  private static let busKey = "bus"
  private static let formatKey = "format"
  private static let serialKey = "serial"
  private static let blockSizeKey = "block-size"
  private static let sizeKey = "size"
  /// The only format. It need not be said, unless the image begins as one of another format does.
  private static let rawFormat = "raw"
  /// For messages.
  private static let choices = [
    readOnlyWord, "\(busKey)=nvme|ahci", "\(serialKey)=TEXT", "\(blockSizeKey)=512|4096",
    "\(formatKey)=\(rawFormat)", "\(sizeKey)=SIZE",
  ]

  /// `FILE[,readonly][,bus=nvme|ahci][,serial=TEXT][,block-size=512|4096][,format=raw]
  /// [,size=SIZE]`, the words in any order. Two commas stand for one in a name or a value: they end
  /// at a single one.
  init(option text: String) throws(UsageError) {
    let name = OptionDefinition.disk.name
    let words = CommaList.split(text)
    guard let file = words.first, !file.isEmpty else {
      throw .missingValue(option: name, placeholder: OptionDefinition.disk.placeholder ?? "")
    }
    self.init(file: file)
    do throws(SpecValueError) {
      var keys: Set<String> = []
      for word in words.dropFirst() {
        let key = try take(word)
        // A flag may be said twice; two values would leave open which one is meant.
        guard key.map({ keys.insert($0).inserted }) ?? true else {
          throw .repeated("\(key ?? "")=", part: "FILE,")
        }
      }
    } catch {
      throw .invalidValue(option: name, error)
    }
  }

  /// Takes one word.
  ///
  /// - Returns: its key; nil for a flag.
  private mutating func take(_ word: String) throws(SpecValueError) -> String? {
    let (key, value) = CommaList.pair(word)
    switch (key, value) {
    case (Self.readOnlyWord, nil):
      isReadOnly = true
      return nil
    case (Self.busKey, let value?):
      guard let choice = DiskBus(rawValue: value) else {
        throw .unknown(
          value, choices: DiskBus.allCases.map(\.rawValue), part: "FILE,\(Self.busKey)=")
      }
      bus = choice
    case (Self.formatKey, let value?):
      guard value == Self.rawFormat else {
        throw SpecValueError(
          "\(QuotedText(value)) is no format of disk images here; there is only raw: convert the "
            + "image (qemu-img convert -O raw OLD NEW)")
      }
      isKnownRaw = true
    case (Self.serialKey, let value?):
      try Self.checkSerial(value, part: "FILE,\(Self.serialKey)=")
      serial = value
    case (Self.blockSizeKey, let value?):
      sectorByteCount = try Self.sectorByteCount(
        parsing: value, part: "FILE,\(Self.blockSizeKey)=")
    case (Self.sizeKey, let value?):
      newByteCount = try Self.newByteCount(parsing: value, part: "FILE,\(Self.sizeKey)=")
    default:
      throw .unknown(word, choices: Self.choices, part: "FILE,")
    }
    return key
  }
}
