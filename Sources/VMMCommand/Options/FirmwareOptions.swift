internal import SMBIOS

/// The firmware of `run --firmware`, and what it gets by fw_cfg.
struct FirmwareOptions: Equatable, Sendable {
  /// One `--fw-cfg`: a file for the guest, by the name under which it finds it.
  struct File: Equatable, Sendable {
    var name: String
    var path: String
  }

  /// The word for the image that QEMU's firmware descriptors name; a file of that name is `./auto`.
  static let automaticImage = "auto"

  /// Nil for the one that descriptors name, until it is found (`findImage`).
  var imagePath: String?
  /// Where the variables stay; nil to start with empty ones and keep none.
  var variablesPath: String?
  /// What a new variables file is made from; nil for the one that belongs to the image.
  var templatePath: String?
  /// Whether changes of variables reach the file.
  var keepsVariables = true
  /// Nil for one that goes by the disk.
  var uuid: SystemUUID?
  /// Indices of disks; empty leaves the order to the firmware.
  var bootOrder: [Int] = []
  var files: [File] = []

  init(imagePath: String?) {
    self.imagePath = imagePath
  }

  /// - Parameters:
  ///   - image: the value of `--firmware`.
  ///   - diskCount: how many disks the machine has, for `--boot-order`.
  init(image: String, _ parsed: ParsedOptions, diskCount: Int) throws(UsageError) {
    imagePath = image == Self.automaticImage ? nil : image
    variablesPath = parsed.text(.variables)
    templatePath = parsed.text(.variablesTemplate)
    keepsVariables = !parsed.contains(.noPersist)
    if let text = parsed.text(.uuid) {
      guard let uuid = SystemUUID(text) else {
        throw .invalidUUID(option: OptionDefinition.uuid.name, text)
      }
      self.uuid = uuid
    }
    if let text = parsed.text(.bootOrder) {
      bootOrder = try Self.bootOrder(parsing: text, diskCount: diskCount)
    }
    for text in parsed.texts(.firmwareFile) { files.append(try File(parsing: text)) }
  }

  /// `disk1,disk0`: disks by their place on the command line, each at most once.
  private static func bootOrder(
    parsing text: String, diskCount: Int
  ) throws(UsageError) -> [Int] {
    let option = OptionDefinition.bootOrder.name
    let names = (0..<diskCount).map { "disk\($0)" }
    guard !names.isEmpty else {
      throw .missingCompanion(option: option, needs: OptionDefinition.disk.synopsis)
    }
    var order: [Int] = []
    for word in text.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
      guard let index = names.firstIndex(of: word) else {
        throw .unknownChoice(
          option: option, word, choices: names, nearest: NearestName.nearest(to: word, among: names)
        )
      }
      guard !order.contains(index) else { throw .repeatedWord(option: option, word) }
      order.append(index)
    }
    return order
  }

  /// What the template of an image is called: Debian's `OVMF_CODE_4M.fd` goes with
  /// `OVMF_VARS_4M.fd`.
  ///
  /// - Returns: nil for a name that does not say that it is the code's half.
  static func usualTemplate(of imagePath: String) -> String? {
    let parts = imagePath.split(separator: "/", omittingEmptySubsequences: false)
    guard let name = parts.last, name.contains("CODE") || name.contains("code") else { return nil }
    let template = name.replacing("CODE", with: "VARS").replacing("code", with: "vars")
    return (parts.dropLast() + [template[...]]).joined(separator: "/")
  }
}

extension FirmwareOptions.File {
  /// `NAME=FILE`; the name ends at the first equals sign.
  fileprivate init(parsing text: String) throws(UsageError) {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
      let option = OptionDefinition.firmwareFile
      throw .missingValue(option: option.name, placeholder: option.placeholder ?? "")
    }
    name = String(parts[0])
    path = String(parts[1])
  }
}
