internal import MachineSpecification
internal import SMBIOS

/// The options that describe a PC.
extension ComputerSpec {
  /// The word for no USB controller, no TPM and no balloon.
  private static let noDevices = "none"

  /// Takes what was given; disks and drives come after those that are there.
  mutating func take(_ parsed: ParsedOptions) throws(UsageError) {
    for text in parsed.texts(.disk) { disks.append(try DiskSpec(option: text)) }
    try parsed.checked(.disk) { () throws(SpecValueError) in
      try DiskSpec.checkSerials(of: disks)
    }
    for text in parsed.texts(.cdrom) { cdroms.append(try CDROMSpec(option: text)) }
    try parsed.checked(.cdrom) { () throws(SpecValueError) in
      try checkSATAPorts()
    }
    switch boot {
    case .kernel(var kernel):
      kernel.take(parsed)
      boot = .kernel(kernel)
    case .firmware(var firmware):
      try firmware.take(parsed, of: self)
      boot = .firmware(firmware)
    }
    if let text = parsed.text(.serial) { serial = try SerialSpec(option: text) }
    display =
      try parsed.value(.display) { (text) throws(SpecValueError) in
        try DisplaySpec(parsing: text)
      } ?? display
    usb =
      try parsed.value(.usb) { (text) throws(SpecValueError) in
        try text == Self.noDevices
          ? []
          : USBDeviceSpec.list(
            text.split(separator: ",", omittingEmptySubsequences: false).map(String.init))
      } ?? usb
    if let text = parsed.text(.tpm) {
      tpm =
        text == Self.noDevices
        ? nil
        : try parsed.checked(.tpm) { () throws(SpecValueError) in try TPMSpec(parsing: text) }
    }
    try takeNetworks(parsed)
    randomNumbers = try parsed.choice(.randomNumbers) ?? randomNumbers
    if let text = parsed.text(.balloon) {
      balloon =
        text == Self.noDevices
        ? nil
        : try parsed.checked(.balloon) { () throws(SpecValueError) in
          try BalloonSpec(parsing: text)
        }
    }
    hasVMBus = hasVMBus || parsed.contains(.vmbus)
    clock = try parsed.choice(.rtc) ?? clock
    onCrash = try parsed.choice(.onCrash) ?? onCrash
    onReset = try parsed.choice(.onReset) ?? onReset
  }
}

extension ComputerSpec {
  /// `--net` takes the place of all cards that are there.
  private mutating func takeNetworks(_ parsed: ParsedOptions) throws(UsageError) {
    let texts = parsed.texts(.net)
    if texts == [NetworkSpec.none] {
      networks = []
    } else if !texts.isEmpty {
      networks = []
      for text in texts { networks.append(try NetworkSpec(option: text)) }
    }
    try parsed.checked(.net) { () throws(SpecValueError) in try NetworkSpec.check(networks) }
    guard let card: NetworkCardSpec = try parsed.choice(.nic) else { return }
    guard !networks.isEmpty else {
      throw .missingCompanion(
        option: OptionDefinition.nic.name, needs: OptionDefinition.net.synopsis)
    }
    for index in networks.indices { networks[index].card = card }
  }
}

extension KernelSpec {
  fileprivate mutating func take(_ parsed: ParsedOptions) {
    initrd = parsed.text(.initrd) ?? initrd
    commandLine = parsed.text(.append) ?? commandLine
  }
}

extension FirmwareSpec {
  /// The word for the image that QEMU's firmware descriptors name; a file of that name is `./auto`.
  static let automaticImage = "auto"

  /// - Parameter option: the value of `--firmware`.
  init(option: String) {
    self.init(image: option == Self.automaticImage ? nil : option)
  }

  fileprivate mutating func take(
    _ parsed: ParsedOptions, of computer: ComputerSpec
  ) throws(UsageError) {
    variables = parsed.text(.variables) ?? variables
    template = parsed.text(.variablesTemplate) ?? template
    if parsed.contains(.noPersist) { keepsVariables = false }
    if parsed.contains(.secureBoot) { hasSecureBoot = true }
    uuid =
      try parsed.value(.uuid) { (text) throws(SpecValueError) in try .init(parsing: text) } ?? uuid
    smbiosTexts =
      try parsed.value(.smbios) { (text) throws(SpecValueError) in
        try SMBIOSTexts(parsing: text)
      } ?? smbiosTexts
    if let text = parsed.text(.bootOrder) {
      guard !computer.disks.isEmpty || !computer.cdroms.isEmpty else {
        throw .missingCompanion(
          option: OptionDefinition.bootOrder.name, needs: OptionDefinition.disk.synopsis)
      }
      bootOrder = try parsed.checked(.bootOrder) { () throws(SpecValueError) in
        try Self.bootOrder(parsing: text, of: computer)
      }
    }
    for text in parsed.texts(.firmwareFile) { attachments.append(try Attachment(option: text)) }
  }
}

extension SMBIOSTexts {
  private static let oemKey = "oem"

  /// Reads `KEY=TEXT,KEY=TEXT`: each key once, except `oem`. Two commas stand for one in a text.
  fileprivate init(parsing list: String) throws(SpecValueError) {
    self.init()
    for word in CommaList.split(list) {
      let (name, text) = CommaList.pair(word)
      let key = Key(rawValue: name)
      guard let text, key != nil || name == Self.oemKey else {
        throw .unknown(
          word, choices: (Key.allCases.map(\.rawValue) + [Self.oemKey]).map { "\($0)=TEXT" })
      }
      guard let key else {
        try addOEMString(checking: text, part: "\(Self.oemKey)=")
        continue
      }
      guard self[key] == nil else { throw .repeated("\(key.rawValue)=") }
      try set(key, checking: text, part: "\(key.rawValue)=")
    }
  }
}

extension FirmwareSpec.Attachment {
  /// `NAME=FILE`; the name ends at the first equals sign.
  fileprivate init(option text: String) throws(UsageError) {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
      let option = OptionDefinition.firmwareFile
      throw .missingValue(option: option.name, placeholder: option.placeholder ?? "")
    }
    self.init(name: String(parts[0]), file: String(parts[1]))
  }
}
