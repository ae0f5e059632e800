extension RunOptions {
  /// Looks for firmware if some was asked for and none was named.
  mutating func findFirmware(in catalog: FirmwareCatalog) throws(FirmwareCatalog.Failure) {
    guard case .system(var system) = guest, case .firmware(var firmware) = system.boot else {
      return
    }
    try firmware.findImage(in: catalog)
    system.boot = .firmware(firmware)
    guest = .system(system)
  }
}

extension FirmwareOptions {
  /// Looks for an image if none was named, and takes its template unless another one was named.
  mutating func findImage(in catalog: FirmwareCatalog) throws(FirmwareCatalog.Failure) {
    guard imagePath == nil else { return }
    let found = try catalog.find()
    imagePath = found.imagePath
    templatePath = templatePath ?? found.templatePath
  }
}
