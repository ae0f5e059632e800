/// Pieces of 64-bit code for a kernel of a few bytes, and what it printed.
enum KernelCode {
  /// mov dx, port; mov eax, value; out dx, al / ax / eax
  static func out(_ port: UInt16, _ value: UInt32, width: Int) -> [UInt8] {
    let move: [UInt8] = [0x66, 0xBA, UInt8(port & 0xFF), UInt8(port >> 8), 0xB8] + bytes(value)
    switch width {
    case 1: return move + [0xEE]
    case 2: return move + [0x66, 0xEF]
    default: return move + [0xEF]
    }
  }
  /// mov dx, port; in eax, dx
  static func input(_ port: UInt16) -> [UInt8] {
    [0x66, 0xBA, UInt8(port & 0xFF), UInt8(port >> 8), 0xED]
  }
  /// xor eax, eax; then the same for a byte: in al, dx
  static func inputByte(_ port: UInt16) -> [UInt8] {
    [0x31, 0xC0, 0x66, 0xBA, UInt8(port & 0xFF), UInt8(port >> 8), 0xEC]
  }
  static func bytes(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) }
  }
  /// mov ecx, address; mov eax, [rcx]: by a register, as an address in the instruction is
  /// sign-extended.
  static func load(_ address: UInt32) -> [UInt8] {
    [0xB9] + bytes(address) + [0x8B, 0x01]
  }
  /// The four bytes of EAX to the serial port: mov dx, 0x3F8; then out dx, al; shr eax, 8, four
  /// times.
  static let print: [UInt8] = [
    0x66, 0xBA, 0xF8, 0x03, 0xEE, 0xC1, 0xE8, 0x08, 0xEE, 0xC1, 0xE8, 0x08, 0xEE, 0xC1, 0xE8, 0x08,
    0xEE,
  ]
  /// mov ecx, address; mov dword [rcx], value
  static func store(_ address: UInt32, _ value: UInt32) -> [UInt8] {
    [0xB9] + bytes(address) + [0xC7, 0x01] + bytes(value)
  }
  /// Reads until it is not 0: test eax, eax; jz to the load.
  static func wait(_ address: UInt32) -> [UInt8] {
    load(address) + [0x85, 0xC0, 0x74, 0xFA]
  }
  static let powerOff = out(0x604, 1 << 13, width: 2)
  /// jmp to itself
  static let halt: [UInt8] = [0xEB, 0xFE]

  /// What `print` put out, four bytes each.
  static func words(of output: [UInt8]) -> [UInt32] {
    stride(from: 0, to: output.count, by: 4).map { start in
      output[start..<min(start + 4, output.count)].reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
  }
}
