import KVM
import Testing

@Suite(
  .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct StatisticsTests {
  @Test func aGuestsPagesAreCounted() throws {
    // mov [0x2000], al; hlt
    var guest = try TinyGuest([0xA2, 0x00, 0x20, 0xF4])
    #expect(try guest.vcpu.run() == .halt)
    let statistics = try guest.machine.statistics()
    for name in ["pages_4k", "pages_2m", "pages_1g", "remote_tlb_flush"] {
      #expect(statistics[name] != nil, "\(name) of \(statistics.keys.sorted())")
    }
    #expect(statistics["pages_2m"] == 0)
  }
}
