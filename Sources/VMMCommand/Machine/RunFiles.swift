internal import Devices
internal import Glibc
internal import MachineSpecification

/// The files that a command line names, to find out before any is opened whether one that will be
/// written is something else as well.
struct RunFiles {
  /// One file is the value of two options, and one of them would destroy it for the other.
  struct Conflict: Error, Equatable, CustomStringConvertible {
    let output: String
    let other: String

    var description: String {
      "\(output) and \(other) are one file; what is written there needs a file of its own"
    }
  }

  private struct Entry {
    /// `'--disk'`.
    let option: String
    let path: String
    let isOutput: Bool

    var name: String { "\(option) (\(QuotedText(path)))" }
  }

  private var entries: [Entry] = []

  /// Adds a file that is read, or is a disk or the like.
  mutating func add(_ path: String?, of option: OptionDefinition) {
    if let path { add(path, named: "'\(option.name)'", isOutput: false) }
  }

  mutating func add(_ path: String, named name: String) {
    add(path, named: name, isOutput: false)
  }

  /// Adds a file that is emptied, replaced or written over.
  mutating func addOutput(_ path: String?, of option: OptionDefinition) {
    if let path { add(path, named: "'\(option.name)'", isOutput: true) }
  }

  private mutating func add(_ path: String, named name: String, isOutput: Bool) {
    entries.append(Entry(option: name, path: path, isOutput: isOutput))
  }

  /// - Throws: for the first output that is another file of the run, too.
  func check() throws(Conflict) {
    let identities = entries.map { FileIdentity(path: $0.path) }
    for (index, entry) in entries.enumerated() where entry.isOutput {
      guard let identity = identities[index] else { continue }
      for (otherIndex, other) in entries.enumerated()
      where otherIndex != index && identities[otherIndex] == identity {
        throw Conflict(output: entry.name, other: other.name)
      }
    }
  }
}

/// What a path leads to, whatever it is called.
private enum FileIdentity: Hashable {
  case file(device: dev_t, number: ino_t)
  case device(dev_t)
  /// Nothing yet: a name in a directory.
  case new(device: dev_t, directory: ino_t, name: String)

  /// Nil for what may be used twice, such as /dev/null and pipes, and for what cannot be looked at.
  init?(path: String) {
    var status = stat()
    if Self.look(path, &status) {
      switch status.st_mode & S_IFMT {
      case S_IFREG: self = .file(device: status.st_dev, number: status.st_ino)
      case S_IFBLK: self = .device(status.st_rdev)
      default: return nil
      }
    } else {
      let name = path.split(separator: "/").last.map(String.init) ?? ""
      guard Self.look(MachineSandbox.directory(of: path), &status) else { return nil }
      self = .new(device: status.st_dev, directory: status.st_ino, name: name)
    }
  }

  private static func look(_ path: String, _ status: inout stat) -> Bool {
    // SAFETY: the structure lives for the call; the path is lent, terminated.
    unsafe HostPath(argument: path).withCString { unsafe stat($0, &status) } == 0
  }
}

extension DemoOptions {
  /// The files it names.
  var files: RunFiles {
    var files = RunFiles()
    files.addOutput(mapPath, of: .map)
    files.addOutput(traceHypercalls?.file, of: .traceHypercalls)
    return files
  }
}

extension RunOptions {
  /// The files it names.
  var files: RunFiles {
    var files = RunFiles()
    files.addOutput(traceHypercalls?.file, of: .traceHypercalls)
    files.addOutput(screenshotPath, of: .screenshot)
    files.addOutput(vnc?.socketPath, of: .vnc)
    files.addOutput(control?.path, of: .control)
    switch machine.guest {
    case .program(let file): files.add(file, of: .program)
    case .computer(let computer): computer.add(to: &files)
    }
    return files
  }
}

extension ComputerSpec {
  fileprivate func add(to files: inout RunFiles) {
    if case .file(let log) = serial { files.addOutput(log.file, of: .serial) }
    for disk in disks { files.add(disk.file, of: .disk) }
    for drive in cdroms {
      for file in [drive.file] + drive.nextFiles { files.add(file, of: .cdrom) }
    }
    switch boot {
    case .kernel(let kernel):
      files.add(kernel.file, of: .kernel)
      files.add(kernel.initrd, of: .initrd)
    case .firmware(let firmware):
      files.add(firmware.image, of: .firmware)
      if firmware.keepsVariables {
        files.addOutput(firmware.variables, of: .variables)
      } else {
        files.add(firmware.variables, of: .variables)
      }
      files.add(firmware.template, of: .variablesTemplate)
      if firmware.template == nil, let usual = firmware.image.flatMap(FirmwareSpec.usualTemplate) {
        files.add(usual, named: "the template of '\(OptionDefinition.firmware.name)'")
      }
      for attachment in firmware.attachments { files.add(attachment.file, of: .firmwareFile) }
    }
  }
}
