internal import GuestMemory
internal import HyperVCore

/// The SynIC pages of one vCPU whose SynIC is KVM's: they are cleared when the guest enables them.
///
/// TLFS, Virtual Interrupt Controller, has both pages as overlays that start cleared, and guests
/// rely on it: a message slot that is not free blocks a timer for ever. KVM clears them only
/// without KVM_CAP_HYPERV_SYNIC2. It tells of a write before the vCPU's next instruction, and
/// delivers a timer's message from this vCPU's KVM_RUN alone, so none can be lost here.
///
/// For the vCPU's thread.
final class SynICPages {
  private static let zeroes = [UInt8](repeating: 0, count: 4096)

  private let memory: GuestMemory
  private var eventPage = OverlayPageMSR(rawValue: 0)
  private var messagePage = OverlayPageMSR(rawValue: 0)

  init(memory: GuestMemory) {
    self.memory = memory
  }

  /// The pages are there already, as in a machine that was saved.
  func restore(eventPage: UInt64, messagePage: UInt64) {
    self.eventPage = OverlayPageMSR(rawValue: eventPage)
    self.messagePage = OverlayPageMSR(rawValue: messagePage)
  }

  /// The guest wrote `msr`; both pages' registers as they are now.
  func change(msr: UInt32, eventPage: UInt64, messagePage: UInt64) {
    switch SyntheticMSR(rawValue: msr) {
    case .siefp: Self.change(&self.eventPage, to: eventPage, in: memory)
    case .simp: Self.change(&self.messagePage, to: messagePage, in: memory)
    default: break
    }
  }

  /// A page that stays where it is keeps what is in it.
  private static func change(
    _ page: inout OverlayPageMSR, to value: UInt64, in memory: GuestMemory
  ) {
    let previous = page.enabledPage
    page = OverlayPageMSR(rawValue: value)
    guard let number = page.enabledPage, number != previous else { return }
    // KVM takes any address. What is not RAM is no page, and gets no messages.
    try? memory.write(zeroes, at: GPA(number << 12))
  }
}
