/// Guests of a few instructions, as files.
enum TestGuest {
  /// 32-bit code as an ELF file with a PVH entry, for `--kernel`: it reaches every device of a PC,
  /// on every KVM. Loaded and entered at 1 MiB, with EBX pointing to what the loader hands over.
  static func kernel(_ code: [UInt8]) -> [UInt8] {
    let address: UInt32 = 0x10_0000
    let codeOffset = 0x1000
    let noteOffset = 0x100
    // Type XEN_ELFNOTE_PHYS32_ENTRY of "Xen": the entry's address.
    let note: [UInt8] = words(4, 4, 18) + Array("Xen\0".utf8) + words(address)
    // e_ident: 64 bits, little-endian; ET_EXEC, EM_X86_64; two program headers of 56 bytes.
    var file: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + Array(repeating: 0, count: 9)
    file += [2, 0, 62, 0] + words(1) + longs(UInt64(address), 64, 0) + words(0)
    file += [64, 0, 56, 0, 2, 0, 64, 0, 0, 0, 0, 0]
    // PT_LOAD, readable, writable and executable; PT_NOTE.
    file += header(1, flags: 7, offset: codeOffset, address: address, byteCount: code.count)
    file += header(4, flags: 4, offset: noteOffset, address: 0, byteCount: note.count)
    file += Array(repeating: 0, count: noteOffset - file.count) + note
    file += Array(repeating: 0, count: codeOffset - file.count) + code
    return file
  }

  private static func header(
    _ type: UInt32, flags: UInt32, offset: Int, address: UInt32, byteCount: Int
  ) -> [UInt8] {
    let count = UInt64(byteCount)
    return words(type, flags)
      + longs(UInt64(offset), UInt64(address), UInt64(address), count, count, 1)
  }

  private static func words(_ values: UInt32...) -> [UInt8] {
    values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
  }

  private static func longs(_ values: UInt64...) -> [UInt8] {
    values.flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
  }

  /// 64-bit code that asks 0x8001 (*HvExtCallQueryCapabilities*) again and again, for a flat
  /// program.
  ///
  /// mov ecx, 0x40000000; mov eax, 1; xor edx, edx; wrmsr: *GUEST_OS_ID*
  /// mov ecx, 0x40000001; mov eax, 0x300001; xor edx, edx; wrmsr: the hypercall page at 3 MiB
  /// mov ecx, 0x8001; xor edx, edx; mov r8d, 0x310000; mov eax, 0x300000; call rax; and again
  static let hypercalls: [UInt8] =
    [
      0xB9, 0x00, 0x00, 0x00, 0x40, 0xB8, 0x01, 0x00, 0x00, 0x00, 0x31, 0xD2, 0x0F, 0x30,
      0xB9, 0x01, 0x00, 0x00, 0x40, 0xB8, 0x01, 0x00, 0x30, 0x00, 0x31, 0xD2, 0x0F, 0x30,
    ]
    + repeating([
      0xB9, 0x01, 0x80, 0x00, 0x00, 0x31, 0xD2, 0x41, 0xB8, 0x00, 0x00, 0x31, 0x00,
      0xB8, 0x00, 0x00, 0x30, 0x00, 0xFF, 0xD0,
    ])

  /// The first of them, and then `code`.
  static func hypercall(then code: [UInt8]) -> [UInt8] {
    // Without the jump back.
    hypercalls.dropLast(5) + code
  }

  /// 32-bit code that gives back what it gets on the serial port, until it gets `end`, and goes on
  /// with `code`. As a driver does: the FIFO is switched on, and the line status says what there
  /// is.
  ///
  /// out 0x3FA, 0x07; out 0x3F8, '!'
  /// next: mov edx, 0x3FD; in al, dx; test al, 1; jz next
  /// mov edx, 0x3F8; in al, dx; cmp al, end; je done; out dx, al; jmp next
  static func echo(until end: UInt8, then code: [UInt8]) -> [UInt8] {
    out(0x3FA, 0x07) + print("!") + [
      0xBA, 0xFD, 0x03, 0x00, 0x00, 0xEC, 0xA8, 0x01, 0x74, 0xF6,
      0xBA, 0xF8, 0x03, 0x00, 0x00, 0xEC, 0x3C, end, 0x74, 0x03, 0xEE, 0xEB, 0xE9,
    ] + code
  }

  /// mov dx, 0x602; mov ax, 0x100; out dx, ax: *PM1_EN.PWRBTN_EN*, listens to the power button.
  static let listen: [UInt8] = [0x66, 0xBA, 0x02, 0x06, 0x66, 0xB8, 0x00, 0x01, 0x66, 0xEF]

  // MARK: Instructions that mean the same in 32 and 64 bits

  /// mov dx, port; mov al, value; out dx, al
  static func out(_ port: UInt16, _ value: UInt8) -> [UInt8] {
    [0x66, 0xBA, UInt8(port & 0xFF), UInt8(port >> 8), 0xB0, value, 0xEE]
  }

  /// mov dx, 0x604; mov ax, 0x2000; out dx, ax: S5.
  static let powerOff: [UInt8] =
    [0x66, 0xBA, 0x04, 0x06, 0x66, 0xB8, 0x00, 0x20, 0x66, 0xEF] + wait
  /// A full reset by 0xCF9.
  static let reset = out(0xCF9, 0x06) + wait
  /// A jump to itself.
  static let wait: [UInt8] = [0xEB, 0xFE]
  static let serialPort: UInt16 = 0x3F8
  /// The debug console, which a flat program has.
  static let debugPort: UInt16 = 0xE9
  static let exitPort: UInt16 = 0xF4

  /// Writes a text once.
  static func print(_ text: String, to port: UInt16 = serialPort) -> [UInt8] {
    text.utf8.flatMap { out(port, $0) }
  }

  /// Writes a text for ever: the code, and a jump back to its beginning.
  static func repeating(_ code: [UInt8]) -> [UInt8] {
    // jmp rel32, counted from the instruction's end.
    code + [0xE9] + words(UInt32(bitPattern: Int32(-(code.count + 5))))
  }
}
