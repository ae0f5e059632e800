/// What a virtual machine is, and nothing that is open or running: its guest, vCPUs, memory and
/// devices, with files by their names.
///
/// It can be compared, kept as JSON (`init(json:)`, `json`), and checked before anything is
/// started. Names of files are text; a byte of one that is no UTF-8 stands in it as U+10FF00 plus
/// its value. A thread-safe value.
public struct MachineSpec: Hashable, Sendable {
  /// The version of the JSON form.
  public static let version = 1

  public var guest: GuestSpec
  public var partition: PartitionSpec

  /// A machine with the memory that such a guest usually has.
  public init(_ guest: GuestSpec) {
    self.init(guest, PartitionSpec(memory: guest.usualMemory))
  }

  public init(_ guest: GuestSpec, _ partition: PartitionSpec) {
    self.guest = guest
    self.partition = partition
  }

  /// Whether the sizes of memory fit to each other and to the guest.
  package func checkMemory() throws(SpecValueError) {
    var computer: ComputerSpec?
    if case .computer(let spec) = guest { computer = spec }
    try partition.memory.checkSizes(of: computer)
  }
}
