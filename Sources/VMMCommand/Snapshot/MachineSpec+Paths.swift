internal import MachineSpecification

extension MachineSpec {
  /// The same machine, with all files named from the root: for somewhere and some other time.
  ///
  /// - Parameter directory: that relative names go by; begins with a slash.
  func withAbsolutePaths(from directory: String) -> MachineSpec {
    func absolute(_ path: String) -> String {
      path.hasPrefix("/") ? path : directory + (directory.hasSuffix("/") ? "" : "/") + path
    }
    var machine = self
    switch guest {
    case .program(let file): machine.guest = .program(file: absolute(file))
    case .computer(var computer):
      computer.changePaths(absolute)
      machine.guest = .computer(computer)
    }
    return machine
  }
}

extension ComputerSpec {
  /// Every file that it names, as `RunFiles` lists them.
  fileprivate mutating func changePaths(_ change: (String) -> String) {
    switch boot {
    case .kernel(var kernel):
      kernel.file = change(kernel.file)
      kernel.initrd = kernel.initrd.map(change)
      boot = .kernel(kernel)
    case .firmware(var firmware):
      firmware.image = firmware.image.map(change)
      firmware.variables = firmware.variables.map(change)
      firmware.template = firmware.template.map(change)
      for index in firmware.attachments.indices {
        firmware.attachments[index].file = change(firmware.attachments[index].file)
      }
      boot = .firmware(firmware)
    }
    for index in disks.indices { disks[index].file = change(disks[index].file) }
    for index in cdroms.indices {
      cdroms[index].file = cdroms[index].file.map(change)
      cdroms[index].nextFiles = cdroms[index].nextFiles.map(change)
    }
    if case .file(var log) = serial {
      log.file = change(log.file)
      // What was written before the machine was saved stays.
      log.appends = true
      serial = .file(log)
    }
    switch tpm {
    case .directory(let path): tpm = .directory(change(path))
    case .socket(let path): tpm = .socket(change(path))
    case nil: break
    }
    for index in networks.indices {
      if case .passt(let path) = networks[index].farEnd {
        networks[index].farEnd = .passt(path: change(path))
      }
    }
  }

  /// The files whose content is the guest's, and has to be as it was when the machine was saved.
  var mediaFiles: [String] {
    disks.map(\.file) + cdroms.flatMap { [$0.file].compactMap(\.self) + $0.nextFiles }
  }
}

extension MachineSpec {
  /// The disks and CDs as they are now.
  var media: [MediumIdentity] {
    guard case .computer(let computer) = guest else { return [] }
    return computer.mediaFiles.map { MediumIdentity(path: $0) }
  }
}
