/// The tables of a platform, by what others call them.
package enum ACPITableID: String, CaseIterable, Sendable {
  case rsdp = "RSDP"
  case xsdt = "XSDT"
  case fadt = "FACP"
  case facs = "FACS"
  case dsdt = "DSDT"
  case madt = "APIC"
  case mcfg = "MCFG"
  case waet = "WAET"

  /// What a table's address must be a multiple of: 64 for the FACS, 16 for the RSDP (ACPI 6.3
  /// §5.2.5.1, §5.2.10); the others follow the latter.
  package var alignment: Int {
    self == .facs ? 64 : 16
  }
}
