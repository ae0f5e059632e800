internal import MachineSpecification

extension MachineSpec {
  /// Looks for firmware if some was asked for and none was named.
  mutating func findFirmware(in catalog: FirmwareCatalog) throws(FirmwareCatalog.Failure) {
    guard case .computer(var computer) = guest, case .firmware(var firmware) = computer.boot else {
      return
    }
    try firmware.findImage(in: catalog)
    computer.boot = .firmware(firmware)
    guest = .computer(computer)
  }
}

extension FirmwareSpec {
  /// Looks for an image if none was named, and takes its template unless another one was named.
  mutating func findImage(in catalog: FirmwareCatalog) throws(FirmwareCatalog.Failure) {
    guard image == nil else { return }
    let found = try catalog.find(hasSecureBoot: hasSecureBoot)
    image = found.imagePath
    template = template ?? found.templatePath
  }
}
