extension DSDT {
  /// `TPM`: a TPM 2.0, with the physical presence interface (TCG PC Client Platform Physical
  /// Presence Interface 1.30): requests are left in memory that firmware reads at the next start.
  ///
  /// Packages are named objects and flags of operations are read by a region of one byte: Windows
  /// stops at packages that a method makes, and at references into system memory (QEMU's
  /// hw/acpi/tpm.c).
  static var tpm: AMLTerm {
    let registers = UInt64(ACPIFixedHardware.physicalPresenceAddress) + PresenceMemory.registers
    return .device(
      "TPM",
      [
        .name("_HID", .string("MSFT0101")), .name("_UID", .integer(1)),
        .name(
          "_CRS",
          .resourceTemplate([
            .memory32Fixed(
              first: ACPIFixedHardware.tpmAddress, byteCount: ACPIFixedHardware.tpmByteCount)
          ])),
        .systemMemory("PPIM", .integer(registers), byteCount: PresenceMemory.byteCount),
        .byteField(
          "PPIM",
          [
            .unnamed(bitCount: 5 * 8), .named("PPRP", bitCount: 32), .named("PPRQ", bitCount: 32),
            .named("PPRM", bitCount: 32), .named("LPPR", bitCount: 32),
            .unnamed(bitCount: 69 * 8), .named("MOVV", bitCount: 8),
          ]),
        .name("PKG2", .package([.integer(0), .integer(0)])),
        .name("PKG3", .package([.integer(0), .integer(0), .integer(0)])),
        operationFlags, requests,
      ])
  }

  /// What the memory holds, as firmware lays it out (QEMU's docs/specs/tpm): a byte of flags for
  /// each operation, then, from here on, the last result (*PPRP*), the request (*PPRQ*), its
  /// parameter (*PPRM*), the last request (*LPPR*), whether memory is to be cleared (*MOVV*).
  private enum PresenceMemory {
    static let registers: UInt64 = 0x100
    static let byteCount: UInt64 = 0x5B
  }

  /// Whether an operation may be asked for (*confirmation status*): 0 for one that firmware does
  /// not have, 1 for firmware's user only, 2 for one that is blocked, 3 and 4 for allowed ones.
  private static var operationFlags: AMLTerm {
    let start = AMLTerm.integer(UInt64(ACPIFixedHardware.physicalPresenceAddress))
    return .method(
      "FLAG", argumentCount: 1, isSerialized: true,
      [
        .if(.greater(.argument(0), .integer(0xFF)), [.return(.integer(0))]),
        .systemMemory("PPIF", .add(start, .argument(0)), byteCount: 1),
        .byteField("PPIF", [.named("FLGS", bitCount: 8)]),
        .return(.and(.reference("FLGS"), .integer(7))),
      ])
  }

  private static var requests: AMLTerm {
    .method(
      "_DSM", argumentCount: 4, isSerialized: true,
      [
        .if(.equal(.argument(0), .buffer(presenceUUID)), presenceFunctions),
        .if(.equal(.argument(0), .buffer(memoryClearUUID)), memoryClearFunctions),
        .return(noFunctions),
      ])
  }

  private static let noFunctions = AMLTerm.buffer([0])
  /// The operation that the caller's package names.
  private static let operation = AMLTerm.element(.argument(3), 0)

  private static func function(_ number: UInt64, _ body: [AMLTerm]) -> AMLTerm {
    .if(.equal(.argument(2), .integer(number)), body)
  }

  private static func revision(_ number: UInt64, _ body: [AMLTerm]) -> AMLTerm {
    .if(.equal(.argument(1), .integer(number)), body)
  }

  private static let presenceFunctions: [AMLTerm] = [
    // These: 0 to 8.
    function(0, [.return(.buffer([0xFF, 0x01]))]),
    // The version.
    function(1, [.return(.string("1.3"))]),
    // Submits a request: 0 for success, 1 for an operation that is not there.
    function(
      2,
      [
        .if(
          .equal(.call("FLAG", [operation]), .integer(0)),
          [.return(.integer(1))]),
        .store(operation, in: .reference("PPRQ")),
        .store(.integer(0), in: .reference("PPRM")),
        .return(.integer(0)),
      ]),
    // The pending request, with its parameter from revision 2 on.
    function(
      3,
      [
        revision(
          1,
          [
            .store(.reference("PPRQ"), in: .index(.reference("PKG2"), 1)),
            .return(.reference("PKG2")),
          ]),
        revision(
          2,
          [
            .store(.reference("PPRQ"), in: .index(.reference("PKG3"), 1)),
            .store(.reference("PPRM"), in: .index(.reference("PKG3"), 2)),
            .return(.reference("PKG3")),
          ]),
      ]),
    // How it gets to firmware: by a reboot.
    function(4, [.return(.integer(2))]),
    // The last request, and what came of it.
    function(
      5,
      [
        .store(.reference("LPPR"), in: .index(.reference("PKG3"), 1)),
        .store(.reference("PPRP"), in: .index(.reference("PKG3"), 2)),
        .return(.reference("PKG3")),
      ]),
    // The user's language: not implemented, as the specification now wants it.
    function(6, [.return(.integer(3))]),
    // Submits a request with a parameter; 3 for one that is blocked.
    function(
      7,
      [
        .store(.call("FLAG", [operation]), in: .local(0)),
        .if(.equal(.local(0), .integer(0)), [.return(.integer(1))]),
        .if(.equal(.local(0), .integer(2)), [.return(.integer(3))]),
        .store(.integer(0), in: .reference("PPRM")),
        revision(2, [.store(.element(.argument(3), 1), in: .reference("PPRM"))]),
        .store(operation, in: .reference("PPRQ")),
        .return(.integer(0)),
      ]),
    // Whether an operation may be asked for.
    function(8, [.return(.call("FLAG", [operation]))]),
    .return(noFunctions),
  ]

  /// Has firmware clear memory at the next start (TCG Platform Reset Attack Mitigation 1.10 §6).
  private static let memoryClearFunctions: [AMLTerm] = [
    function(0, [.return(.buffer([0x03]))]),
    function(1, [.store(operation, in: .reference("MOVV")), .return(.integer(0))]),
    .return(noFunctions),
  ]

  /// 3DDDFAA6-361B-4EB4-A424-8D10089D1653 as ASL's `ToUUID` has it.
  private static let presenceUUID: [UInt8] = [
    0xA6, 0xFA, 0xDD, 0x3D, 0x1B, 0x36, 0xB4, 0x4E,
    0xA4, 0x24, 0x8D, 0x10, 0x08, 0x9D, 0x16, 0x53,
  ]

  /// 376054ED-CC13-4675-901C-4756D7F2D45D
  private static let memoryClearUUID: [UInt8] = [
    0xED, 0x54, 0x60, 0x37, 0x13, 0xCC, 0x75, 0x46,
    0x90, 0x1C, 0x47, 0x56, 0xD7, 0xF2, 0xD4, 0x5D,
  ]
}
