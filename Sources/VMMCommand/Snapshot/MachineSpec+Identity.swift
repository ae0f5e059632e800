internal import MachineSpecification
internal import SMBIOS

extension MachineSpec {
  /// Makes a copy a machine of its own: another UUID, and by it another address of each network
  /// card, those that somebody chose included.
  ///
  /// Firmware tells the UUID at the next reset, and drivers ask a card for its address when they
  /// begin: a guest that runs already goes on with what it knows.
  mutating func takeIdentity(_ uuid: SystemUUID) {
    guard case .computer(var computer) = guest else { return }
    if case .firmware(var firmware) = computer.boot {
      firmware.uuid = uuid
      computer.boot = .firmware(firmware)
    }
    for index in computer.networks.indices {
      computer.networks[index].address = MACAddress(ofCard: index, in: uuid.bytes)
    }
    guest = .computer(computer)
  }
}
