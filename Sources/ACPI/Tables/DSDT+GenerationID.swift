extension DSDT {
  /// `VGEN`: the virtual machine generation ID (Microsoft, *Virtual Machine Generation ID*, 2012).
  /// It is known by its compatible name; where it is, is its method or name `ADDR`: the low and the
  /// high half of the address.
  static var generationID: AMLTerm {
    .device(
      "VGEN",
      [
        .name("_HID", .string("VMMR0001")), .name("_CID", .string("VM_Gen_Counter")),
        .name("_DDN", .string("VM_Gen_Counter")), .name("_UID", .integer(0)),
        .name(
          "ADDR",
          .package([.integer(UInt64(ACPIFixedHardware.generationIDAddress)), .integer(0)])),
      ])
  }

  /// What the general purpose event does: tells the device's driver to look.
  static var generationIDEvent: AMLTerm {
    let digits = String(ACPIFixedHardware.generationIDEvent, radix: 16, uppercase: true)
    return .scope(
      "\\_GPE",
      [
        .method(
          AMLName("_E" + String(repeating: "0", count: 2 - digits.count) + digits),
          argumentCount: 0, [.notify("\\_SB.VGEN", 0x80)])
      ])
  }
}
