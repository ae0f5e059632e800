import BenchmarkGuests
import VMM

/// What makes the guest leave, and for whom.
enum ExitKind {
  case portOut
  case portIn
  case store
  case load
  case hypercall(HyperVTransport)

  /// EXITS_KIND_….
  var code: UInt32 {
    let code =
      switch self {
      case .portOut: EXITS_KIND_PORT_OUT
      case .portIn: EXITS_KIND_PORT_IN
      case .store: EXITS_KIND_STORE
      case .load: EXITS_KIND_LOAD
      case .hypercall: EXITS_KIND_HYPERCALL
      }
    return UInt32(code)
  }

  var isMemory: Bool {
    switch self {
    case .store, .load: true
    case .portOut, .portIn, .hypercall: false
    }
  }

  var name: String {
    switch self {
    case .portOut: "port write"
    case .portIn: "port read"
    case .store: "MMIO write"
    case .load: "MMIO read"
    case .hypercall(let transport): "0x8001, \(transport.rawValue) transport"
    }
  }
}
