/// Some of a machine's vCPUs, by their numbers.
///
/// Not a `Set`, whose types are made at run time: that takes as long as the rest of a run that does
/// nothing.
struct VCPUSet: Sendable {
  /// In no order.
  private(set) var members: [UInt32] = []

  var isEmpty: Bool { members.isEmpty }
  var count: Int { members.count }

  func contains(_ id: UInt32) -> Bool { members.contains(id) }

  mutating func insert(_ id: UInt32) {
    if !contains(id) { members.append(id) }
  }

  /// - Returns: whether it was there.
  @discardableResult
  mutating func remove(_ id: UInt32) -> Bool {
    guard let index = members.firstIndex(of: id) else { return false }
    members.swapAt(index, members.count - 1)
    members.removeLast()
    return true
  }

  func filter(_ isIncluded: (UInt32) -> Bool) -> VCPUSet {
    var some = VCPUSet()
    some.members = members.filter(isIncluded)
    return some
  }
}
