internal import Glibc
internal import Synchronization

/// Numbers that wait for a thread: each at most once, so that the list is bounded however often the
/// guest asks.
///
/// Sendable because every access to `waiting`, `isWaiting`, `isClosed` and `isHeld` is between
/// `pthread_mutex_lock` and `pthread_mutex_unlock` of its own mutex. Threads wait at a semaphore,
/// which counts what is waiting: a condition variable needs three system calls for each wake-up
/// instead of two, as a thread that it woke cannot know that no other wants the mutex.
@safe public final class WorkList: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let semaphore: UnsafeMutablePointer<sem_t>
  private var waiting: [Int] = []
  private var isWaiting: [Bool]
  private var isClosed = false
  private var isHeld = false
  /// Threads in `next`. One leaves with a number, and is counted out, under the lock only.
  private let idleCount = Atomic<Int>(0)
  /// For a thread that comes back: whether somebody may wait for it, as while the list is held.
  private let tellsOfIdle = Atomic<Bool>(false)
  /// Raised by threads that come back.
  private let idleSemaphore: UnsafeMutablePointer<sem_t>

  /// A list for the numbers 0 to `count - 1`.
  public init(count: Int) {
    isWaiting = Array(repeating: false, count: count)
    unsafe mutex = .allocate(capacity: 1)
    unsafe semaphore = .allocate(capacity: 1)
    // SAFETY: all three are allocated here, never move, and are freed in deinit.
    unsafe pthread_mutex_init(mutex, nil)
    unsafe sem_init(semaphore, 0, 0)
    unsafe idleSemaphore = .allocate(capacity: 1)
    unsafe sem_init(idleSemaphore, 0, 0)
  }

  deinit {
    // SAFETY: no thread waits, as one that waits holds a reference.
    unsafe sem_destroy(semaphore)
    unsafe sem_destroy(idleSemaphore)
    unsafe idleSemaphore.deallocate()
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
    idleCount.add(1, ordering: .sequentiallyConsistent)
    if tellsOfIdle.load(ordering: .sequentiallyConsistent) { unsafe sem_post(idleSemaphore) }
    while true {
      // An interrupted wait is no wake-up, but looking costs nothing.
      unsafe sem_wait(semaphore)
      lock()
      let (number, isOver) = (takeOldest(), isClosed)
      if number != nil || isOver { idleCount.subtract(1, ordering: .sequentiallyConsistent) }
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

  /// Hands out nothing any more until `release`; numbers may be added meanwhile.
  public func hold() {
    lock()
    isHeld = true
    unlock()
    tellsOfIdle.store(true, ordering: .sequentiallyConsistent)
  }

  /// Hands out what waits.
  public func release() {
    tellsOfIdle.store(false, ordering: .sequentiallyConsistent)
    lock()
    let count = isHeld ? waiting.count : 0
    isHeld = false
    unlock()
    // Threads have looked in vain meanwhile, and used up the semaphore's count.
    for _ in 0..<count { unsafe sem_post(semaphore) }
  }

  /// Whether the list hands out nothing now.
  public var isOnHold: Bool {
    lock()
    defer { unlock() }
    return isHeld
  }

  /// Of a list that is held, waits until `count` threads wait for a number: what they had taken is
  /// done.
  ///
  /// - Returns: false if they did not come within `seconds`, or the list was closed before: threads
  ///   that it sends away come no more.
  public func waitForIdleThreads(count: Int, seconds: Int) -> Bool {
    waitForThreads(seconds: seconds) {
      idleCount.load(ordering: .sequentiallyConsistent) >= count
    }
  }

  /// Of a list that is not held, waits until `count` threads wait for a number and there is none.
  ///
  /// - Returns: as `waitForIdleThreads`.
  public func waitForEnd(count: Int, seconds: Int) -> Bool {
    tellsOfIdle.store(true, ordering: .sequentiallyConsistent)
    return waitForThreads(seconds: seconds) {
      // Under the lock, as a thread that takes a number is counted out there.
      lock()
      defer { unlock() }
      return waiting.isEmpty && idleCount.load(ordering: .sequentiallyConsistent) >= count
    }
  }

  private func waitForThreads(seconds: Int, _ isDone: () -> Bool) -> Bool {
    var deadline = timespec()
    // The clock of sem_timedwait(3).
    // SAFETY: the call fills the struct; it cannot fail.
    _ = unsafe clock_gettime(CLOCK_REALTIME, &deadline)
    deadline.tv_sec += seconds
    while !isDone() {
      if isOver { return false }
      // SAFETY: initialised in `init`, there as long as self.
      if unsafe sem_timedwait(idleSemaphore, &deadline) != 0, errno == ETIMEDOUT {
        return isDone()
      }
    }
    return true
  }

  /// Whether the list is closed.
  public var isOver: Bool {
    lock()
    defer { unlock() }
    return isClosed
  }

  /// Whether the list is closed or held: a thread that goes on by itself is to come back.
  public var isAtRest: Bool {
    lock()
    defer { unlock() }
    return isClosed || isHeld
  }

  /// How many numbers wait.
  public var waitingCount: Int {
    lock()
    defer { unlock() }
    return waiting.count
  }

  private func takeOldest() -> Int? {
    guard !isClosed, !isHeld, !waiting.isEmpty else { return nil }
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
    // For who waits for idle threads.
    unsafe sem_post(idleSemaphore)
  }

  private func lock() {
    unsafe pthread_mutex_lock(mutex)
  }

  private func unlock() {
    unsafe pthread_mutex_unlock(mutex)
  }
}
