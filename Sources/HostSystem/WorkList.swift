internal import Glibc

/// Numbers that wait for a thread: each at most once, so that the list is bounded however often the
/// guest asks.
///
/// Sendable because every access to `waiting`, `isWaiting` and `isClosed` is between
/// `pthread_mutex_lock` and `pthread_mutex_unlock` of its own mutex. Threads wait at a semaphore,
/// which counts what is waiting: a condition variable needs three system calls for each wake-up
/// instead of two, as a thread that it woke cannot know that no other wants the mutex.
@safe public final class WorkList: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let semaphore: UnsafeMutablePointer<sem_t>
  private var waiting: [Int] = []
  private var isWaiting: [Bool]
  private var isClosed = false

  /// A list for the numbers 0 to `count - 1`.
  public init(count: Int) {
    isWaiting = Array(repeating: false, count: count)
    unsafe mutex = .allocate(capacity: 1)
    unsafe semaphore = .allocate(capacity: 1)
    // SAFETY: both are allocated above, never move, and are freed in deinit.
    unsafe pthread_mutex_init(mutex, nil)
    unsafe sem_init(semaphore, 0, 0)
  }

  deinit {
    // SAFETY: no thread waits, as one that waits holds a reference.
    unsafe sem_destroy(semaphore)
    unsafe pthread_mutex_destroy(mutex)
    unsafe semaphore.deallocate()
    unsafe mutex.deallocate()
  }

  /// Adds a number, unless it waits already or the list is closed.
  public func add(_ number: Int) {
    lock()
    let isNew = !isClosed && !isWaiting[number]
    if isNew {
      isWaiting[number] = true
      waiting.append(number)
    }
    unlock()
    // After the unlocking: the thread that wakes needs the lock, and may run before this one goes
    // on.
    if isNew { unsafe sem_post(semaphore) }
  }

  /// Waits for a number and takes the oldest; nil when the list is closed.
  public func next() -> Int? {
    while true {
      // An interrupted wait is no wake-up, but looking costs nothing.
      unsafe sem_wait(semaphore)
      lock()
      let (number, isOver) = (takeOldest(), isClosed)
      unlock()
      if isOver {
        // The next thread is to see it too.
        unsafe sem_post(semaphore)
        return nil
      }
      if let number { return number }
    }
  }

  /// The same without waiting: nil if there is no number, too.
  public func nextIfWaiting() -> Int? {
    lock()
    defer { unlock() }
    return takeOldest()
  }

  /// Whether the list is closed.
  public var isOver: Bool {
    lock()
    defer { unlock() }
    return isClosed
  }

  /// How many numbers wait.
  public var waitingCount: Int {
    lock()
    defer { unlock() }
    return waiting.count
  }

  private func takeOldest() -> Int? {
    guard !isClosed, !waiting.isEmpty else { return nil }
    let number = waiting.removeFirst()
    isWaiting[number] = false
    return number
  }

  /// Sends all threads away; what still waits is dropped.
  public func close() {
    lock()
    isClosed = true
    unlock()
    unsafe sem_post(semaphore)
  }

  private func lock() {
    unsafe pthread_mutex_lock(mutex)
  }

  private func unlock() {
    unsafe pthread_mutex_unlock(mutex)
  }
}
