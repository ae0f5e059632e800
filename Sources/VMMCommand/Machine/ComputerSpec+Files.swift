internal import Devices
internal import Glibc
internal import MachineSpecification
internal import SMBIOS
internal import VMM

extension ComputerSpec {
  /// Whether firmware's variables are kept in a file.
  var keepsFlash: Bool {
    guard case .firmware(let firmware) = boot else { return false }
    return firmware.variables != nil && firmware.keepsVariables
  }

  /// For a window that shows it: by its first disk, or what it starts from.
  var title: String {
    let kernel: String? = if case .kernel(let kernel) = boot { kernel.file } else { nil }
    let path = disks.first?.file ?? kernel ?? cdroms.first?.file
    guard let name = path?.split(separator: "/").last else { return "vmm-run" }
    return "\(ArgumentText.printable(String(name))) - vmm-run"
  }

  /// What the machine starts with; files are open, and the variables locked, from here on.
  ///
  /// - Parameters:
  ///   - messages: what the guest causes while it runs.
  ///   - isLocked: false while another process has the machine.
  func image(_ messages: RateLimitedDiagnostics, isLocked: Bool = true) throws -> GuestImage {
    switch boot {
    case .kernel(let kernel):
      return .linux(
        LinuxGuest(
          kernel: try BootFile(path: HostPath(argument: kernel.file), role: "kernel"),
          initrd: try kernel.initrd.map {
            try BootFile(path: HostPath(argument: $0), role: "initrd")
          },
          commandLine: ArgumentText.bytes(of: kernel.commandLine ?? "console=ttyS0")))
    case .firmware(let firmware):
      return .firmware(try firmware.guest(messages, isLocked: isLocked))
    }
  }

  /// Fills in what firmware gets by fw_cfg.
  func tellFirmware(_ computer: inout PersonalComputerConfiguration) throws {
    guard case .firmware(let firmware) = boot else { return }
    computer.uuid = firmware.uuid ?? usualUUID(firmware)
    // The same at each start: nothing happens twice.
    if computer.uuid != .none { computer.generation = GenerationID(computer.uuid.wireBytes) }
    computer.smbiosTexts = firmware.smbiosTexts
    computer.bootOrder = firmware.bootOrder.map { device in
      switch device {
      case .disk(let index) where disks[index].bus == .ahci:
        .sata(cdroms.count + disks[..<index].count { $0.bus == .ahci })
      case .disk(let index): .disk(disks[..<index].count { $0.bus == .nvme })
      case .cdrom(let index): .sata(index)
      }
    }
    computer.firmwareFiles = try firmware.attachments.map {
      ($0.name, try GuestFile.attachment($0.file).read())
    }
  }

  /// Adds the disks and drives; images are open and locked from here on.
  ///
  /// - Parameters:
  ///   - changer: has the drives.
  ///   - isLocked: false while another process has the machine.
  func addDisks(
    to computer: inout PersonalComputerConfiguration, _ changer: MediaChanger,
    isLocked: Bool = true
  ) throws {
    computer.sataPorts += changer.drives.map { .opticalDrive($0) }
    for (disk, configuration) in zip(disks, try openDisks(isLocked: isLocked)) {
      switch disk.bus {
      case .nvme: computer.disks.append(configuration)
      case .ahci:
        computer.sataPorts.append(.disk(configuration.store, serial: configuration.serial))
      }
    }
  }

  /// The disks, on whichever bus, open and locked.
  func openDisks(isLocked: Bool = true) throws -> [DiskConfiguration] {
    var names: Set<String> = []
    return try disks.map { disk in
      if isLocked, let size = disk.newByteCount {
        try RawImageStore.makeImage(at: HostPath(argument: disk.file), byteCount: size.bytes)
      }
      let store = try RawImageStore(
        path: HostPath(argument: disk.file), isReadOnly: disk.isReadOnly,
        isLocked: isLocked || disk.isReadOnly, isKnownRaw: disk.isKnownRaw,
        sectorByteCount: disk.sectorByteCount)
      Diagnostics.warnOfMissingLocks(store.lockGap, of: "disk image \(disk.file)")
      // A file that is there twice, to be read, is two disks.
      var name = Self.absolutePath(disk.file)
      while !names.insert(name).inserted { name += "+" }
      return DiskConfiguration(store, serial: disk.serial ?? Self.serial(naming: name))
    }
  }

  /// 16 hexadecimal digits: the same for the same name, whatever else the machine has.
  static func serial(naming name: String) -> String {
    String(SystemUUID(naming: name).description.filter { $0 != "-" }.prefix(16))
  }

  /// Goes by where the first disk is, or else the variables; none for a machine that keeps nothing.
  private func usualUUID(_ firmware: FirmwareSpec) -> SystemUUID {
    guard let path = disks.first?.file ?? firmware.variables else { return .none }
    return SystemUUID(naming: Self.absolutePath(path))
  }

  /// Without links; the path itself if the system does not say.
  private static func absolutePath(_ path: String) -> String {
    // SAFETY: with a null pointer the call allocates the result, which is freed after it was
    // copied.
    let resolved = unsafe HostPath(argument: path).withCString { unsafe realpath($0, nil) }
    guard let resolved = unsafe resolved else { return path }
    defer { unsafe free(resolved) }
    let bytes = unsafe UnsafeBufferPointer(start: resolved, count: strlen(resolved))
    return unsafe ArgumentText.string(from: bytes.map { UInt8(bitPattern: $0) })
  }
}

extension FirmwareSpec {
  fileprivate func guest(
    _ messages: RateLimitedDiagnostics, isLocked: Bool
  ) throws -> FirmwareGuest {
    guard let name = image else { preconditionFailure("firmware that was not looked for") }
    let bytes = try GuestFile.firmware(name).read()
    if FirmwareVolume.holdsVariables(bytes), let path = variables ?? template {
      throw FlashStoreError.insideImage(path: path, image: name)
    }
    let image = try FirmwareImage(bytes, name: name)
    guard let store = try variableStore(isLocked: isLocked) else {
      return FirmwareGuest(image: image, hasSystemManagement: hasSecureBoot)
    }
    let chip = try FlashChip(store: store) { error in messages.report(error) }
    return FirmwareGuest(image: image, variables: chip, hasSystemManagement: hasSecureBoot)
  }

  /// Nil for an image that belongs to no template: it has its variables in it.
  private func variableStore(isLocked: Bool) throws -> (any FlashStore)? {
    let template = try templateBytes()
    guard let variables else { return template.map { VolatileFlashStore($0) } }
    // Firmware looks for its variables in one place only, and forgets them if they lie otherwise.
    guard let template else {
      throw Self.exists(variables)
        ? FlashStoreError.unknownLayout(path: variables) : .noTemplate(path: variables)
    }
    if keepsVariables {
      let file = try VariableFile(
        path: HostPath(argument: variables), template: isLocked ? template : nil,
        isLocked: isLocked)
      Diagnostics.warnOfMissingLocks(file.lockGap, of: "the variables file \(variables)")
      return file
    }
    guard Self.exists(variables) else { return VolatileFlashStore(template) }
    return VolatileFlashStore(try Self.readVariables(variables, template: template))
  }

  /// The template that was given, or the usual one if it is there.
  private func templateBytes() throws -> [UInt8]? {
    guard let template else { return try usualTemplate() }
    let bytes = try Self.readVariables(template, template: nil)
    // The usual one says how this image divides its store, unless it is broken itself.
    if let usual = try? usualTemplate() {
      try FirmwareVolume.check(bytes, path: template, template: usual)
    }
    return bytes
  }

  private func usualTemplate() throws -> [UInt8]? {
    guard let usual = image.flatMap(Self.usualTemplate), Self.exists(usual) else { return nil }
    return try Self.readVariables(usual, template: nil)
  }

  private static func readVariables(_ path: String, template: [UInt8]?) throws -> [UInt8] {
    let bytes = try GuestFile.variables(path).read()
    try FirmwareVolume.check(bytes, path: path, template: template)
    return bytes
  }

  private static func exists(_ path: String) -> Bool {
    // SAFETY: the path is lent, terminated, for the call.
    unsafe HostPath(argument: path).withCString { unsafe access($0, F_OK) } == 0
  }
}
