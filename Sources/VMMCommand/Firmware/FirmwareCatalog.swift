internal import FoundationEssentials
internal import Glibc

/// The firmware of this host, as the descriptors list it that QEMU's users share.
///
/// Descriptors of all directories are sorted by name, and the first that fits is taken. Of several
/// with one name that of the most specific directory counts, and hides the others also if it is
/// empty.
///
/// Source: QEMU, docs/interop/firmware.json.
struct FirmwareCatalog {
  /// The most specific first.
  let directories: [String]

  /// A firmware that this machine can run.
  struct Firmware: Equatable {
    let imagePath: String
    let templatePath: String
    let descriptorPath: String
  }

  /// A descriptor that was passed over.
  struct Skipped: Equatable {
    let descriptorPath: String
    let reason: String
  }

  /// What was found, and what came before it.
  struct Search: Equatable {
    var firmware: Firmware?
    var skipped: [Skipped] = []
  }

  /// None of them is firmware for this machine. One line, with what to do.
  struct Failure: Error, Equatable, CustomStringConvertible {
    let directories: [String]
    let skipped: [Skipped]

    var description: String { "\(finding); \(FirmwareCatalog.cure)" }

    /// What was seen.
    var finding: String {
      let places = directories.joined(separator: ", ")
      guard !skipped.isEmpty else { return "there are no firmware descriptors in \(places)" }
      let reasons = skipped.map { "\(FirmwareCatalog.name(of: $0.descriptorPath)): \($0.reason)" }
      return "no firmware descriptor in \(places) fits (\(reasons.joined(separator: "; ")))"
    }
  }

  /// What to do where nothing was found.
  static let cure = "install firmware (Debian: ovmf), or name an image with --firmware FILE"

  /// The user's directory, the administrator's, the distribution's.
  static func ofHost(_ variable: (String) -> String? = ofEnvironment) -> FirmwareCatalog {
    var directories = ["/etc/qemu/firmware", "/usr/share/qemu/firmware"]
    // Relative ones must be ignored (XDG Base Directory Specification).
    if let own = variable("XDG_CONFIG_HOME"), own.hasPrefix("/") {
      directories.insert(own + "/qemu/firmware", at: 0)
    } else if let home = variable("HOME"), home.hasPrefix("/") {
      directories.insert(home + "/.config/qemu/firmware", at: 0)
    }
    return FirmwareCatalog(directories: directories)
  }

  private static func ofEnvironment(_ name: String) -> String? {
    // SAFETY: the value is copied at once, and no thread changes the environment.
    unsafe getenv(name).map { unsafe String(cString: $0) }
  }

  /// Goes through the descriptors up to the first that fits.
  ///
  /// - Parameter hasSecureBoot: whether it is to start what is signed alone, or anything.
  func search(hasSecureBoot: Bool = false) -> Search {
    var search = Search()
    for path in descriptorPaths() {
      do throws(FirmwareDescriptor.Obstacle) {
        guard let descriptor = try Self.descriptor(path) else { continue }
        let (image, template) = try descriptor.files(hasSecureBoot: hasSecureBoot)
        search.firmware = Firmware(
          imagePath: image.filename, templatePath: template.filename, descriptorPath: path)
        return search
      } catch {
        search.skipped.append(Skipped(descriptorPath: path, reason: error.description))
      }
    }
    return search
  }

  /// - Throws: if nothing fits.
  func find(hasSecureBoot: Bool = false) throws(Failure) -> Firmware {
    let search = search(hasSecureBoot: hasSecureBoot)
    guard let firmware = search.firmware else {
      throw Failure(directories: directories, skipped: search.skipped)
    }
    return firmware
  }

  /// One for each name, in the order of names, as bytes.
  private func descriptorPaths() -> [String] {
    var paths: [String: String] = [:]
    for directory in directories.reversed() {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
      for name in names where name.hasSuffix(".json") && !name.hasPrefix(".") {
        paths[name] = "\(directory)/\(name)"
      }
    }
    let sorted = paths.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    return sorted.map { $0.value }
  }

  /// Nil for an empty file.
  private static func descriptor(
    _ path: String
  ) throws(FirmwareDescriptor.Obstacle) -> FirmwareDescriptor? {
    let bytes: [UInt8]
    do throws(SystemError) {
      bytes = try GuestFile.firmwareDescriptor(path).read()
    } catch {
      throw FirmwareDescriptor.Obstacle("it cannot be read")
    }
    if bytes.isEmpty { return nil }
    guard let descriptor = FirmwareDescriptor(parsing: bytes) else {
      throw FirmwareDescriptor.Obstacle("it is no descriptor of firmware")
    }
    return descriptor
  }

  private static func name(of path: String) -> Substring {
    path.split(separator: "/").last ?? path[...]
  }
}
