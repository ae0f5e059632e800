internal import FoundationEssentials
internal import Glibc

/// What one of QEMU's firmware descriptors says: an image, what it is for, and what it needs.
///
/// Source: QEMU, docs/interop/firmware.json. Words that are not known here are kept as text: later
/// versions have more of them.
struct FirmwareDescriptor: Decodable {
  /// An image and how it is stored: `raw`, `qcow2`, ...
  struct File: Decodable {
    var filename: String
    var format: String
  }

  /// How an image gets into the machine.
  struct Mapping: Decodable {
    /// `flash`, `memory` or `kernel`.
    var device: String
    /// Of flash, since QEMU 6.2: `split` (the default), `combined` or `stateless`.
    var mode: String?
    var executable: File?
    var template: File?

    private enum CodingKeys: String, CodingKey {
      case device, mode, executable
      case template = "nvram-template"
    }
  }

  /// Machines of one architecture, by patterns such as `pc-q35-*`.
  struct Target: Decodable {
    var architecture: String
    var machines: [String]
  }

  var interfaceTypes: [String]
  var mapping: Mapping
  var targets: [Target]
  var features: [String]

  private enum CodingKeys: String, CodingKey {
    case interfaceTypes = "interface-types"
    case mapping, targets, features
  }

  /// The machine type of QEMU that this machine is like, of any recent version.
  private static let machine = "pc-q35-10.0"

  /// Nil for bytes that are no descriptor.
  init?(parsing bytes: [UInt8]) {
    guard let descriptor = try? JSONDecoder().decode(Self.self, from: Data(bytes)) else {
      return nil
    }
    self = descriptor
  }

  /// The image and its empty variables, if this machine can run them as they are.
  ///
  /// - Parameter hasSecureBoot: whether it is to start what is signed alone, by keys that are in
  ///   the variables, or anything.
  /// - Throws: the first reason why not.
  func files(hasSecureBoot: Bool = false) throws(Obstacle) -> (image: File, template: File) {
    guard interfaceTypes.contains("uefi") else { throw Obstacle("it is not UEFI") }
    guard targets.contains(where: Self.isThisMachine) else {
      throw Obstacle("it is for other machines than x86_64 with q35")
    }
    if features.contains("host-uefi-vars") {
      throw Obstacle("it needs variables that QEMU keeps, which this machine does not have")
    }
    if hasSecureBoot {
      guard features.contains("secure-boot") else { throw Obstacle("it has no Secure Boot") }
      guard features.contains("enrolled-keys") else { throw Obstacle("it has no keys enrolled") }
    } else if features.contains(where: ["requires-smm", "secure-boot", "enrolled-keys"].contains) {
      throw Obstacle("it is for --secure-boot")
    }
    guard mapping.device == "flash", let image = mapping.executable else {
      throw Obstacle("it is not for flash")
    }
    guard mapping.mode ?? "split" == "split", let template = mapping.template else {
      throw Obstacle("it has no file of variables")
    }
    for file in [image, template] where file.format != "raw" {
      throw Obstacle("\(file.filename) is a \(file.format) image, not raw")
    }
    for file in [image, template] where !Self.isReadable(file.filename) {
      throw Obstacle("\(file.filename) cannot be read")
    }
    return (image, template)
  }

  /// Why a firmware is not one for this machine, in a few words.
  struct Obstacle: Error, Equatable, CustomStringConvertible {
    let description: String

    init(_ description: String) {
      self.description = description
    }
  }

  private static func isThisMachine(_ target: Target) -> Bool {
    // SAFETY: both strings are lent, terminated, for the call.
    target.architecture == "x86_64"
      && target.machines.contains { unsafe fnmatch($0, machine, 0) == 0 }
  }

  private static func isReadable(_ path: String) -> Bool {
    // SAFETY: the path is lent, terminated, for the call.
    unsafe access(path, R_OK) == 0
  }
}
