internal import MachineSpecification

/// `--cdrom`: what is in the drive, and what can follow it while the guest runs.
extension CDROMSpec {
  /// The word for an empty drive; a file of that name is `./none`.
  private static let noImage = "none"
  private static let nextKey = "next="

  /// `FILE[,next=FILE]...`. Two commas stand for one in a name.
  init(option text: String) throws(UsageError) {
    let option = OptionDefinition.cdrom
    let words = CommaList.split(text)
    guard let file = words.first, !file.isEmpty else {
      throw .missingValue(option: option.name, placeholder: option.placeholder ?? "")
    }
    self.init(file: file == Self.noImage ? nil : file)
    for word in words.dropFirst() {
      guard word.hasPrefix(Self.nextKey) else {
        throw .invalidValue(
          option: option.name,
          SpecValueError(
            "\(QuotedText(word)) is not next=FILE; a comma in a file's name is doubled",
            part: "FILE,"))
      }
      let next = String(word.dropFirst(Self.nextKey.count))
      guard !next.isEmpty else {
        throw .missingValue(option: option.name, placeholder: "FILE,next=FILE")
      }
      nextFiles.append(next)
    }
  }
}
