package import MachineSpecification

/// The schemas of bodies (JSON Schema 2020-12), by the names that they have in the OpenAPI
/// description.
package enum ControlSchema: String, CaseIterable, Sendable {
  case ping = "VmmPing"
  case info = "VmInfo"
  case counters = "VmCounters"
  case event = "VmEvent"
  case resize = "VmResize"
  case trimState = "VmTrimState"
  case cdrom = "VmCdrom"
  case medium = "VmCdromState"
  case nic = "VmNic"
  case snapshot = "VmSnapshot"
  case migration = "VmSendMigration"
  case migrationState = "VmMigrationState"
  case snapshotState = "VmSnapshotState"
  case fault = "Fault"

  package var value: JSONValue {
    switch self {
    case .ping: Self.object([("version", Self.text), ("pid", Self.count)])
    case .info:
      Self.object(
        [
          ("state", Self.choice(MachineInfo.State.allCases.map(\.rawValue))), ("pid", Self.count),
          ("version", Self.text), ("uptime_seconds", Self.number),
          (
            "config",
            .members([
              ("type", .text("object")),
              ("description", .text("What --print-config prints: docs/machine.md.")),
            ])
          ),
        ],
        optional: [
          (
            "migration",
            Self.object([
              ("round", Self.count), ("sent_bytes", Self.count), ("remaining_bytes", Self.count),
            ])
          )
        ])
    case .counters: Self.countersObject
    case .event:
      Self.object([
        ("timestamp", Self.object([("secs", Self.count), ("nanos", Self.count)])),
        ("source", Self.choice(["vm"])),
        ("event", Self.choice(ControlEvent.Name.allCases.map(\.rawValue))),
        ("properties", .members([("type", .text("object"))])),
      ])
    case .resize:
      // One of them.
      Self.object(
        [], optional: [("desired_balloon", Self.pages), ("desired_ram", Self.pages)])
    case .cdrom:
      Self.object(
        [],
        optional: [
          ("drive", Self.count),
          ("medium", .members([("type", .array([.text("string"), .text("null")]))])),
        ])
    case .medium:
      Self.object(
        [
          ("drive", Self.count),
          ("medium", .members([("type", .array([.text("string"), .text("null")]))])),
          ("is_awaited", Self.flag), ("message", Self.text),
        ])
    case .trimState:
      Self.object([
        ("given_back_bytes", Self.count), ("split_huge_pages", Self.count),
        ("refused_huge_pages", Self.count),
      ])
    case .nic: Self.object([("nic", Self.count), ("link", Self.flag)])
    case .snapshot:
      Self.object([
        (
          "name",
          .members([
            ("type", .text("string")), ("pattern", .text(SnapshotName.pattern)),
          ])
        )
      ])
    case .migration:
      Self.object(
        [("destination_url", Self.text)],
        optional: [
          ("downtime_ms", Self.count), ("max_rounds", Self.count),
          ("if_busy", Self.choice([MigrationRequest.stop, MigrationRequest.stay])),
        ])
    case .migrationState:
      Self.object([
        ("downtime_ms", Self.number), ("total_ms", Self.number), ("rounds", Self.count),
        ("sent_bytes", Self.count), ("pages", Self.count), ("zero_pages", Self.count),
      ])
    case .snapshotState: Self.object([("path", Self.text)])
    case .fault: Self.object([("fault_message", Self.text)])
    }
  }

  private static let text = type("string")
  private static let number = type("number")
  private static let flag = type("boolean")
  private static let pages = JSONValue.members([
    ("type", .text("integer")), ("minimum", .integer(0)), ("multipleOf", .integer(4096)),
  ])
  private static let count = JSONValue.members([
    ("type", .text("integer")), ("minimum", .integer(0)),
  ])

  private static func type(_ name: String) -> JSONValue { .members([("type", .text(name))]) }

  private static func choice(_ names: [String]) -> JSONValue {
    .members([("type", .text("string")), ("enum", .array(names.map { .text($0) }))])
  }

  private static func list(of items: JSONValue) -> JSONValue {
    .members([("type", .text("array")), ("items", items)])
  }

  /// An object with these members and no others.
  private static func object(
    _ required: [(String, JSONValue)], optional: [(String, JSONValue)] = []
  ) -> JSONValue {
    .members(
      [("type", .text("object"))]
        + (required.isEmpty
          ? [] : [("required", .array(required.map { .text($0.0) }))])
        + [
          ("properties", .members(required + optional)), ("additionalProperties", .flag(false)),
        ])
  }

  private static var countersObject: JSONValue {
    object(
      [
        ("uptime_seconds", number), ("resets", count),
        (
          "vcpus",
          list(
            of: object([
              ("id", count),
              (
                "exits",
                .members([("type", .text("object")), ("additionalProperties", count)])
              ),
            ]))
        ),
        (
          "memory",
          object(
            [
              ("ram_bytes", count), ("reported_bytes", count), ("written_bytes", count),
              ("touched_bytes", count),
            ],
            optional: [
              ("populated_bytes", count), ("zero_bytes", count), ("added_bytes", count),
              ("ballooned_bytes", count),
              ("available_bytes", count),
            ])
        ),
        (
          "disks",
          list(
            of: object([
              ("name", text), ("reads", count), ("read_bytes", count), ("writes", count),
              ("written_bytes", count), ("failures", count),
            ]))
        ),
        (
          "networks",
          list(
            of: object([
              ("name", text), ("has_link", flag), ("received_frames", count),
              ("received_bytes", count), ("sent_frames", count), ("sent_bytes", count),
            ]))
        ),
        (
          "hypercalls",
          list(of: object([("name", text), ("count", count), ("failures", count)]))
        ),
      ],
      optional: [
        (
          "balloon",
          object([
            ("target_bytes", count), ("actual_bytes", count), ("given_back_bytes", count),
          ])
        ), ("trim", object([("given_back_bytes", count), ("split_huge_pages", count)])),
      ])
  }
}
