public import HyperVCore
internal import SMBIOS
internal import ZeroTracker

extension MachineSpec: Codable {
  /// Reads the JSON form: an object with `version`, one of `program`, `kernel` and `firmware`, and
  /// what differs from the defaults. What is not known is refused.
  public init(json bytes: [UInt8]) throws(MachineSpecError) {
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONParser.parse(bytes)
    } catch {
      throw MachineSpecError(path: "", problem: error.description)
    }
    try self.init(value)
  }

  /// The JSON form, with everything that has a value, and a line feed at its end.
  public var json: String { value.text() + "\n" }

  public init(from decoder: any Decoder) throws {
    try self.init(JSONValue(from: decoder))
  }

  public func encode(to encoder: any Encoder) throws {
    try value.encode(to: encoder)
  }

  private init(_ value: JSONValue) throws(MachineSpecError) {
    self = try SpecObject.read(value, path: "") { (object) throws(MachineSpecError) in
      try Self.checkVersion(&object)
      let guest = try GuestSpec(&object)
      var partition = PartitionSpec(memory: guest.usualMemory)
      try partition.read(&object, vcpuCounts: guest.vcpuCounts)
      let machine = MachineSpec(guest, partition)
      try object.checked("memory") { () throws(SpecValueError) in try machine.checkMemory() }
      return machine
    }
  }

  private static func checkVersion(_ object: inout SpecObject) throws(MachineSpecError) {
    guard let version = try object.integer("version", in: 1...Int.max) else {
      throw object.error("version", "is missing; write \(version)")
    }
    guard version <= Self.version else {
      throw object.error(
        "version", "\(version) is newer than this program, which knows \(Self.version)")
    }
  }

  /// The JSON form as a value.
  package var value: JSONValue {
    .object(
      [JSONValue.Member(name: "version", value: .integer(Int64(Self.version)))] + guest.boot
        + partition.members + guest.devices)
  }
}

// MARK: Guest

extension GuestSpec {
  fileprivate init(_ object: inout SpecObject) throws(MachineSpecError) {
    let program = try object.object("program") { (program) throws(MachineSpecError) in
      try program.requiredText("file")
    }
    let kernel = try object.object("kernel") { (kernel) throws(MachineSpecError) in
      try KernelSpec(&kernel)
    }
    // What it says of disks and drives is read with them.
    var order: [String]?
    let firmware = try object.object("firmware") { (firmware) throws(MachineSpecError) in
      order = try firmware.texts("bootOrder")
      return try FirmwareSpec(&firmware)
    }
    switch (program, kernel, firmware) {
    case (let program?, nil, nil):
      self = .program(file: program)
    case (nil, let kernel?, nil):
      self = .computer(try ComputerSpec(.kernel(kernel), &object))
    case (nil, nil, var firmware?):
      var computer = try ComputerSpec(.firmware(firmware), &object)
      if let order {
        firmware.bootOrder = try object.checked("firmware.bootOrder") {
          () throws(SpecValueError) in
          try FirmwareSpec.bootOrder(order, of: computer)
        }
        computer.boot = .firmware(firmware)
      }
      self = .computer(computer)
    default:
      throw MachineSpecError(
        path: object.path,
        problem: "a machine starts with one of the members program, kernel and firmware")
    }
  }

  fileprivate var boot: [JSONValue.Member] {
    switch self {
    case .program(let file):
      [.init(name: "program", value: .object(["file": .text(file)]))]
    case .computer(let computer):
      switch computer.boot {
      case .kernel(let kernel): [.init(name: "kernel", value: kernel.value)]
      case .firmware(let firmware): [.init(name: "firmware", value: firmware.value)]
      }
    }
  }

  fileprivate var devices: [JSONValue.Member] {
    switch self {
    case .program: []
    case .computer(let computer): computer.devices
    }
  }
}

extension KernelSpec {
  fileprivate init(_ object: inout SpecObject) throws(MachineSpecError) {
    self.init(file: try object.requiredText("file"))
    initrd = try object.text("initrd")
    commandLine = try object.text("commandLine")
  }

  fileprivate var value: JSONValue {
    .object([
      "file": .text(file), "initrd": .init(initrd), "commandLine": .init(commandLine),
    ])
  }
}

extension FirmwareSpec {
  fileprivate init(_ object: inout SpecObject) throws(MachineSpecError) {
    self.init(image: try object.text("image"))
    variables = try object.text("variables")
    template = try object.text("template")
    keepsVariables = try object.flag("keepsVariables") ?? keepsVariables
    hasSecureBoot = try object.flag("secureBoot") ?? hasSecureBoot
    uuid = try object.value("uuid") { (text) throws(SpecValueError) in try .init(parsing: text) }
    smbiosTexts =
      try object.object("smbios") { (object) throws(MachineSpecError) in
        try SMBIOSTexts(&object)
      } ?? smbiosTexts
    attachments =
      try object.objects("attachments") { (object) throws(MachineSpecError) in
        Attachment(name: try object.requiredText("name"), file: try object.requiredText("file"))
      } ?? []
  }

  fileprivate var value: JSONValue {
    .object([
      "image": .init(image), "variables": .init(variables), "template": .init(template),
      "keepsVariables": variables == nil ? .null : .flag(keepsVariables),
      "secureBoot": hasSecureBoot ? .flag(true) : .null,
      "uuid": .init(uuid?.description), "smbios": smbiosTexts.value,
      "bootOrder": .init(bootOrder.map { .text($0.name) }),
      "attachments": .init(
        attachments.map { .object(["name": .text($0.name), "file": .text($0.file)]) }),
    ])
  }
}

// MARK: Partition

extension PartitionSpec {
  fileprivate mutating func read(
    _ object: inout SpecObject, vcpuCounts: ClosedRange<Int>
  ) throws(MachineSpecError) {
    vcpuCount = try object.integer("vcpus", in: vcpuCounts) ?? vcpuCount
    memory =
      try object.object("memory") { [memory] (object) throws(MachineSpecError) in
        var memory = memory
        try memory.read(&object)
        return memory
      } ?? memory
    tracking =
      try object.object("tracking") { (object) throws(MachineSpecError) in
        try TrackingSpec(&object)
      } ?? tracking
    try object.checked("tracking.trimAtAnswer") { () throws(SpecValueError) in
      guard let conflict = trimConflict else { return }
      throw SpecValueError("cannot be with \(conflict.other): \(conflict.reason)")
    }
    paravirtualization = try object.choice("paravirtualization") ?? paravirtualization
    hyperV =
      try object.object("hyperV") { (object) throws(MachineSpecError) in
        try HyperVSpec(&object)
      } ?? hyperV
    try object.checked("hyperV.features") { () throws(SpecValueError) in
      guard let missing = hyperV.featuresOfNestedGuests else { return }
      throw SpecValueError("\(missing) works only together with hyperV.nested")
    }
  }

  fileprivate var members: [JSONValue.Member] {
    [
      .init(name: "vcpus", value: .integer(Int64(vcpuCount))),
      .init(name: "memory", value: memory.value), .init(name: "tracking", value: tracking.value),
      .init(
        name: "paravirtualization",
        value: paravirtualization == .hyperV ? .null : .text(paravirtualization.rawValue)),
      .init(name: "hyperV", value: hyperV.value),
    ]
  }
}

extension MemorySpec {
  fileprivate mutating func read(_ object: inout SpecObject) throws(MachineSpecError) {
    byteCount =
      try object.size("size") { (text) throws(SpecValueError) in
        try Self.byteCount(parsing: text)
      } ?? byteCount
    maximum = try object.size("max") { (text) throws(SpecValueError) in
      try Self.byteCount(parsing: text)
    }
    target = try object.size("target") { (text) throws(SpecValueError) in
      try Self.byteCount(parsing: text)
    }
    backing = try object.choice("backing") ?? backing
    isPreallocated = try object.flag("preallocated") ?? isPreallocated
    usesTransparentHugePages = try object.flag("transparentHugePages") ?? usesTransparentHugePages
    hints = try object.choice("hints") ?? hints
    let conflict = hintsConflict
    try object.checked("hints") { () throws(SpecValueError) in
      if let conflict {
        throw SpecValueError(
          "\(conflict.hints.rawValue) cannot be with \(conflict.other): that memory is not given back"
        )
      }
    }
  }

  fileprivate var value: JSONValue {
    .object([
      "size": .text(byteCount.optionText), "max": .init(maximum?.optionText),
      "target": .init(target?.optionText), "backing": .text(backing.rawValue),
      "preallocated": .flag(isPreallocated),
      "transparentHugePages": .flag(usesTransparentHugePages), "hints": .init(hints?.rawValue),
    ])
  }
}

extension TrackingSpec {
  /// What stands for no choice of a source.
  private static let anySource = "auto"

  fileprivate init(_ object: inout SpecObject) throws(MachineSpecError) {
    self.init()
    source =
      try object.value("source") { (text) throws(SpecValueError) in try Self.source(parsing: text) }
      ?? source
    policy =
      try object.value("policy") { (text) throws(SpecValueError) in try .init(parsing: text) }
      ?? policy
    granularity =
      try object.size("granularity") { (text) throws(SpecValueError) in try .init(parsing: text) }
      ?? granularity
    refinement = try object.size("refine") { (text) throws(SpecValueError) in
      try Refinement(parsing: text)
    }
    verifiesZeroedMemory = try object.flag("verify") ?? verifiesZeroedMemory
    trimMilliseconds =
      try object.integer("trimAtAnswer", in: Self.trimRange) ?? trimMilliseconds
  }

  fileprivate var value: JSONValue {
    .object([
      "source": .text(source?.rawValue ?? Self.anySource), "policy": .text(policy.text),
      "granularity": .text(ByteCount(granularity.byteCount).optionText),
      "refine": .init(refinement?.text), "verify": .flag(verifiesZeroedMemory),
      "trimAtAnswer": trimMilliseconds.map { .integer(Int64($0)) } ?? .null,
    ])
  }

  /// Reads a source, or `auto`, which is nil.
  package static func source(
    parsing text: String
  ) throws(SpecValueError) -> WrittenPageSourceKind? {
    if text == anySource { return nil }
    guard let source = WrittenPageSourceKind(rawValue: text) else {
      throw .unknown(
        text, choices: [anySource] + WrittenPageSourceKind.allCases.map(\.rawValue))
    }
    return source
  }
}

extension HyperVSpec {
  /// What was chosen that only a nested guest uses, without `isNested`; nil if nothing was.
  public var featuresOfNestedGuests: Enlightenments? {
    let nested = features.selection.added.intersection(.nested)
    return isNested || nested.isEmpty ? nil : nested
  }

  fileprivate init(_ object: inout SpecObject) throws(MachineSpecError) {
    self.init()
    transport = try object.choice("transport") ?? transport
    isNested = try object.flag("nested") ?? isNested
    features =
      try object.value("features") { (text) throws(SpecValueError) in try .init(parsing: text) }
      ?? features
    var parameters = features.parameters
    parameters.spinRetryCount =
      try object.integer("spinlocks", in: 1...Int(HyperVParameters.neverNotifies - 1)).map {
        UInt32($0)
      } ?? parameters.spinRetryCount
    parameters.version =
      try object.value("version") { (text) throws(SpecValueError) in
        try EnlightenmentChoice.version(parsing: text)
      } ?? parameters.version
    parameters.vendor =
      try object.value("vendorID") { (text) throws(SpecValueError) in
        try EnlightenmentChoice.vendor(parsing: text)
      } ?? parameters.vendor
    features.parameters = parameters
  }

  fileprivate var value: JSONValue {
    let spinRetryCount = features.parameters.spinRetryCount
    return .object([
      "transport": .text(transport.rawValue), "nested": .flag(isNested),
      "features": .text(features.names),
      "spinlocks": spinRetryCount == HyperVParameters.neverNotifies
        ? .null : .integer(Int64(spinRetryCount)),
      "version": .text(features.parameters.version.description),
      "vendorID": .text(features.parameters.vendor.description),
    ])
  }
}

// MARK: Devices

extension ComputerSpec {
  fileprivate init(_ boot: BootSpec, _ object: inout SpecObject) throws(MachineSpecError) {
    self.init(boot)
    disks =
      try object.objects("disks") { (object) throws(MachineSpecError) in try DiskSpec(&object) }
      ?? disks
    try object.checked("disks") { () throws(SpecValueError) in
      try DiskSpec.checkSerials(of: disks)
    }
    cdroms =
      try object.objects("cdroms") { (object) throws(MachineSpecError) in
        CDROMSpec(
          file: try object.text("file"), nextFiles: try object.texts("next") ?? [])
      } ?? cdroms
    try object.checked("cdroms") { () throws(SpecValueError) in
      try checkSATAPorts()
    }
    serial =
      try object.textOrObject(
        "serial",
        text: { (text) throws(SpecValueError) in try SerialSpec(word: text) },
        object: { (object) throws(MachineSpecError) in
          .file(
            LogFileSpec(
              file: try object.requiredText("file"), appends: try object.flag("append") ?? false))
        }) ?? serial
    display = try object.value("display") { (text) throws(SpecValueError) in
      try DisplaySpec(parsing: text)
    }
    if let words = try object.texts("usb") {
      usb = try object.checked("usb") { () throws(SpecValueError) in try USBDeviceSpec.list(words) }
    }
    tpm = try object.object("tpm") { (object) throws(MachineSpecError) in
      try TPMSpec(&object)
    }
    networks =
      try object.objects("networks") { (object) throws(MachineSpecError) in
        try NetworkSpec(&object)
      } ?? networks
    try object.checked("networks") { () throws(SpecValueError) in try NetworkSpec.check(networks) }
    randomNumbers = try object.choice("rng")
    balloon = try object.size("balloon") { (text) throws(SpecValueError) in
      try BalloonSpec(parsing: text)
    }
    hasVMBus = try object.flag("vmbus") ?? hasVMBus
    clock = try object.choice("clock") ?? clock
    onCrash = try object.choice("onCrash") ?? onCrash
    onReset = try object.choice("onReset") ?? onReset
  }

  fileprivate var devices: [JSONValue.Member] {
    let all: JSONValue = .object([
      "disks": .init(disks.map(\.value)),
      "cdroms": .init(
        cdroms.map { drive in
          .object(["file": .init(drive.file), "next": .init(drive.nextFiles.map { .text($0) })])
        }), "serial": serial.value,
      "display": .init(display?.text),
      "usb": usb.map { .init($0.map { .text($0.rawValue) }) } ?? .null,
      "tpm": tpm?.value ?? .null,
      "networks": .init(networks.map(\.value)),
      "rng": .init(randomNumbers?.rawValue),
      "balloon": .init(balloon?.text),
      "vmbus": hasVMBus ? .flag(true) : .null,
      "clock": .text(clock.rawValue), "onCrash": .text(onCrash.rawValue),
      "onReset": .text(onReset.rawValue),
    ])
    guard case .object(let members) = all else { return [] }
    return members
  }
}

extension TPMSpec {
  fileprivate init(_ object: inout SpecObject) throws(MachineSpecError) {
    switch (try object.text("directory"), try object.text("socket")) {
    case (let path?, nil): self = .directory(path)
    case (nil, let path?): self = .socket(path)
    default:
      throw MachineSpecError(
        path: object.path, problem: "a TPM has one of the members directory and socket")
    }
  }

  fileprivate var value: JSONValue {
    switch self {
    case .directory(let path): .object(["directory": .text(path)])
    case .socket(let path): .object(["socket": .text(path)])
    }
  }
}

extension DiskSpec {
  fileprivate init(_ object: inout SpecObject) throws(MachineSpecError) {
    self.init(file: try object.requiredText("file"))
    bus = try object.choice("bus") ?? bus
    isReadOnly = try object.flag("readOnly") ?? isReadOnly
    isKnownRaw = try object.flag("raw") ?? isKnownRaw
    serial = try object.value("serial") { (text) throws(SpecValueError) in
      try Self.checkSerial(text)
      return text
    }
    sectorByteCount =
      try object.size("blockSize") { (text) throws(SpecValueError) in
        try Self.sectorByteCount(parsing: text)
      } ?? sectorByteCount
    newByteCount = try object.size("size") { (text) throws(SpecValueError) in
      try Self.newByteCount(parsing: text)
    }
  }

  fileprivate var value: JSONValue {
    .object([
      "file": .text(file), "bus": .text(bus.rawValue), "readOnly": .flag(isReadOnly),
      "raw": .flag(isKnownRaw),
      "serial": .init(serial), "blockSize": .integer(Int64(sectorByteCount)),
      "size": .init(newByteCount?.optionText),
    ])
  }
}

extension NetworkSpec {
  fileprivate init(_ object: inout SpecObject) throws(MachineSpecError) {
    let user = try object.object("user") { (user) throws(MachineSpecError) in
      let texts = try user.texts("forwards") ?? []
      return try user.checked("forwards") { () throws(SpecValueError) in
        var forwards: [PortForward] = []
        for text in texts { forwards.append(try PortForward(parsing: text)) }
        return forwards
      }
    }
    let path = try object.text("passt")
    let tap = try object.value("tap") { (text) throws(SpecValueError) in
      try InterfaceName(text)
    }
    let descriptor = try object.integer("socket", in: 3...Int(Int32.max))
    switch (user, path, tap, descriptor) {
    case (let forwards?, nil, nil, nil): self.init(.user(forwards))
    case (nil, let path?, nil, nil): self.init(.passt(path: path))
    case (nil, nil, let name?, nil): self.init(.tap(name))
    case (nil, nil, nil, let descriptor?): self.init(.socket(descriptor: Int32(descriptor)))
    default:
      throw MachineSpecError(
        path: object.path, problem: "a network has one of the members user, passt, tap and socket")
    }
    card = try object.choice("card") ?? card
    address = try object.value("mac") { (text) throws(SpecValueError) in
      try MACAddress(parsing: text)
    }
  }

  fileprivate var value: JSONValue {
    var user = JSONValue.null
    var path: String?
    var tap: String?
    var socket = JSONValue.null
    switch farEnd {
    case .user(let forwards):
      user = .object(["forwards": .init(forwards.map { .text($0.description) })])
    case .passt(let text): path = text
    case .tap(let name): tap = name.description
    case .socket(let descriptor): socket = .integer(Int64(descriptor))
    }
    return .object([
      "user": user, "passt": .init(path), "tap": .init(tap), "socket": socket,
      "card": .text(card.rawValue),
      "mac": .init(address?.description),
    ])
  }
}

extension SerialSpec {
  private static let words: [(String, SerialSpec)] = [
    ("stdio", .stdio), ("pty", .pty), ("none", .none),
  ]

  fileprivate init(word: String) throws(SpecValueError) {
    guard let choice = Self.words.first(where: { $0.0 == word })?.1 else {
      throw SpecValueError(
        "\(QuotedText(word)) is not one of stdio, pty and none, or an object with a file")
    }
    self = choice
  }

  fileprivate var value: JSONValue {
    switch self {
    case .stdio: .text("stdio")
    case .pty: .text("pty")
    case .none: .text("none")
    case .file(let log): .object(["file": .text(log.file), "append": .flag(log.appends)])
    }
  }
}

// MARK: Values

extension JSONValue {
  /// The members that have a value.
  fileprivate static func object(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue {
    .object(members.filter { $0.value != .null }.map { Member(name: $0.key, value: $0.value) })
  }

  fileprivate init(_ text: String?) {
    self = text.map { .text($0) } ?? .null
  }

  /// Null for an empty list.
  fileprivate init(_ values: [JSONValue]) {
    self = values.isEmpty ? .null : .array(values)
  }
}
