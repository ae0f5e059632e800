package import MachineSpecification

/// What a machine has done since it began, which a reset of the guest does too, and what it uses.
package struct MachineCounters: Equatable, Sendable {
  /// Names of exits with how many there were, in their order.
  package typealias Exits = [Count]

  package struct Count: Equatable, Sendable {
    package var name: String
    package var count: UInt64

    package init(_ name: String, _ count: UInt64) {
      (self.name, self.count) = (name, count)
    }
  }

  /// Guest RAM by what it is, in bytes. A page may count in several.
  package struct Memory: Equatable, Sendable {
    package var ram: UInt64 = 0
    /// Backed by memory of the host; nil if the system does not say.
    package var populated: UInt64?
    /// Known to be zero; nil when it is not known, after the end of tracking.
    package var zero: UInt64?
    /// In the ranges of the last answer to 0x8002.
    package var reported: UInt64 = 0
    /// Written by the guest, as far as that is known.
    package var written: UInt64 = 0
    /// Written by this program for the guest.
    package var touched: UInt64 = 0
    /// Added by Dynamic Memory since the machine began, in `ram`; nil where memory cannot grow.
    package var added: UInt64?
    /// In the balloon; nil without one.
    package var ballooned: UInt64?
    /// What the guest says its programs can have, which nothing checks; nil until it has said so to
    /// a balloon.
    package var available: UInt64?

    package init() {}
  }

  package struct Balloon: Equatable, Sendable {
    package var target: UInt64
    package var actual: UInt64
    package var givenBack: UInt64

    package init(target: UInt64, actual: UInt64, givenBack: UInt64) {
      (self.target, self.actual, self.givenBack) = (target, actual, givenBack)
    }
  }

  /// What was given back of sparsely used huge pages.
  package struct Trim: Equatable, Sendable {
    package var givenBack: UInt64
    package var splitHugePages: UInt64

    package init(givenBack: UInt64, splitHugePages: UInt64) {
      (self.givenBack, self.splitHugePages) = (givenBack, splitHugePages)
    }
  }

  package struct Disk: Equatable, Sendable {
    package var name: String
    package var reads: UInt64 = 0
    package var readBytes: UInt64 = 0
    package var writes: UInt64 = 0
    package var writtenBytes: UInt64 = 0
    package var failures: UInt64 = 0

    package init(_ name: String) {
      self.name = name
    }
  }

  package struct Network: Equatable, Sendable {
    package var name: String
    package var hasLink = false
    package var receivedFrames: UInt64 = 0
    package var receivedBytes: UInt64 = 0
    package var sentFrames: UInt64 = 0
    package var sentBytes: UInt64 = 0

    package init(_ name: String) {
      self.name = name
    }
  }

  package struct Hypercall: Equatable, Sendable {
    /// As the TLFS has it; `other` for all that have no name.
    package var name: String
    package var count: UInt64 = 0
    /// Those that did not succeed.
    package var failures: UInt64 = 0

    package init(_ name: String) {
      self.name = name
    }
  }

  package var version = ""
  package var uptimeSeconds = 0.0
  package var isPaused = false
  package var resets: UInt64 = 0
  /// By vCPU.
  package var exits: [Exits] = []
  package var memory = Memory()
  package var balloon: Balloon?
  /// Nil where nothing can be given back.
  package var trim: Trim?
  package var disks: [Disk] = []
  package var networks: [Network] = []
  package var hypercalls: [Hypercall] = []

  package init() {}

  /// `vm.counters`.
  package var value: JSONValue {
    .members(
      [("uptime_seconds", .number(uptimeSeconds)), ("resets", .count(resets))] + machineMembers
        + [("hypercalls", .array(hypercalls.map(\.value)))])
  }

  /// What of it is the machine's, and not the run's.
  package var machineMembers: [(String, JSONValue)] {
    var memory: [(String, JSONValue)] = [("ram_bytes", .count(self.memory.ram))]
    for (name, count) in self.memory.classes { memory.append((name + "_bytes", .count(count))) }
    var members: [(String, JSONValue)] = [
      (
        "vcpus",
        .array(
          exits.enumerated().map { index, exits in
            .members([
              ("id", .integer(Int64(index))),
              ("exits", .members(exits.map { ($0.name, .count($0.count)) })),
            ])
          })
      ),
      ("memory", .members(memory)),
    ]
    if let balloon {
      members.append(
        (
          "balloon",
          .members([
            ("target_bytes", .count(balloon.target)), ("actual_bytes", .count(balloon.actual)),
            ("given_back_bytes", .count(balloon.givenBack)),
          ])
        ))
    }
    if let trim {
      members.append(
        (
          "trim",
          .members([
            ("given_back_bytes", .count(trim.givenBack)),
            ("split_huge_pages", .count(trim.splitHugePages)),
          ])
        ))
    }
    return members + [
      ("disks", .array(disks.map(\.value))), ("networks", .array(networks.map(\.value))),
    ]
  }
}

extension MachineCounters.Memory {
  /// What is known of it, by name.
  var classes: [(String, UInt64)] {
    [
      ("populated", populated), ("zero", zero), ("reported", reported), ("written", written),
      ("touched", touched), ("added", added), ("ballooned", ballooned), ("available", available),
    ].compactMap { name, count in count.map { (name, $0) } }
  }
}

extension MachineCounters.Disk {
  fileprivate var value: JSONValue {
    .members([
      ("name", .text(name)), ("reads", .count(reads)), ("read_bytes", .count(readBytes)),
      ("writes", .count(writes)), ("written_bytes", .count(writtenBytes)),
      ("failures", .count(failures)),
    ])
  }
}

extension MachineCounters.Network {
  fileprivate var value: JSONValue {
    .members([
      ("name", .text(name)), ("has_link", .flag(hasLink)),
      ("received_frames", .count(receivedFrames)), ("received_bytes", .count(receivedBytes)),
      ("sent_frames", .count(sentFrames)), ("sent_bytes", .count(sentBytes)),
    ])
  }
}

extension MachineCounters.Hypercall {
  fileprivate var value: JSONValue {
    .members([
      ("name", .text(name)), ("count", .count(count)), ("failures", .count(failures)),
    ])
  }
}
