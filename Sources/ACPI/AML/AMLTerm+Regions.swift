// Registers in memory: what methods read and write outside of the namespace.

/// Bits of a region, one after the other.
struct AMLField: Hashable, Sendable {
  let bytes: [UInt8]

  static func named(_ name: AMLName, bitCount: Int) -> AMLField {
    AMLField(bytes: name.bytes + PackageLength.bits(bitCount))
  }

  /// Bits that are left out (*ReservedField*).
  static func unnamed(bitCount: Int) -> AMLField {
    AMLField(bytes: [0] + PackageLength.bits(bitCount))
  }
}

extension AMLTerm {
  /// `OperationRegion (name, SystemMemory, start, byteCount)`
  static func systemMemory(_ name: AMLName, _ start: AMLTerm, byteCount: UInt64) -> AMLTerm {
    let systemMemory: UInt8 = 0
    return AMLTerm(
      .operationRegion, name.bytes + [systemMemory] + start.bytes + integer(byteCount).bytes)
  }

  /// `Field (region, ByteAcc, NoLock, Preserve) { … }`
  static func byteField(_ region: AMLName, _ fields: [AMLField]) -> AMLTerm {
    let byteAccess: UInt8 = 1
    return AMLTerm(.field, sized: region.bytes + [byteAccess] + fields.flatMap(\.bytes))
  }
}
