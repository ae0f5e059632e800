internal import Bytes
internal import KVM

/// What the processor calls itself and how fast it is: for people, who find it in SMBIOS.
struct ProcessorIdentity {
  let name: String
  /// 0 if it is not known.
  let megahertz: UInt16

  init(name: String, megahertz: UInt16) {
    self.name = name
    self.megahertz = megahertz
  }

  /// The host's name, which guests see in CPUID as well, and the frequency of the guest's TSC: the
  /// processor's own without its turbo.
  init(of machine: VirtualMachine) {
    let kilohertz = machine.tscKilohertz() ?? 0
    self.init(
      name: Self.name(GuestCPUID.brandOfHost),
      megahertz: UInt16(clamping: (kilohertz + 500) / 1000))
  }

  /// The brand string: 16 bytes a leaf, ended by a zero if it is shorter, and padded by blanks on
  /// either side.
  static func name(_ leaves: [CPUIDEntry]) -> String {
    let bytes = leaves.flatMap { leaf in
      [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx].littleEndianBytes
    }
    let text = bytes.prefix { $0 != 0 }.drop { $0 == UInt8(ascii: " ") }
    let end = text.lastIndex { $0 != UInt8(ascii: " ") }.map { $0 + 1 } ?? text.startIndex
    return String(decoding: text[..<end], as: UTF8.self)
  }
}
