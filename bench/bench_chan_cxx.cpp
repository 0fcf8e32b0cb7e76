/* bench_chan_cxx.cpp - the C++ peers of bench_chan. */
#include "chan_loops.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#ifdef BENCH_HAVE_TBB
#  include <oneapi/tbb/concurrent_queue.h>
#endif
#ifdef BENCH_HAVE_BOOST
#  include <boost/lockfree/queue.hpp>
#  include <boost/lockfree/spsc_queue.hpp>
#endif
#ifdef BENCH_HAVE_MOODYCAMEL
#  include <concurrentqueue/blockingconcurrentqueue.h>
#endif
#ifdef BENCH_HAVE_READERWRITER
#  include <readerwriterqueue/readerwritercircularbuffer.h>
#  include <readerwriterqueue/readerwriterqueue.h>
#endif
#ifdef BENCH_HAVE_XENIUM
#  include <xenium/vyukov_bounded_queue.hpp>
#endif

namespace {
class deque_chan {
  public:
    void send(uint64_t value) {
        const std::lock_guard<std::mutex> lock(mutex_);
        values_.push_back(value);
        filled_.notify_one();
    }
    uint64_t recv() {
        std::unique_lock<std::mutex> lock(mutex_);
        filled_.wait(lock, [this] { return !values_.empty(); });
        const uint64_t value = values_.front();
        values_.pop_front();
        return value;
    }

  private:
    std::mutex mutex_;
    std::condition_variable filled_;
    std::deque<uint64_t> values_;
};
} // namespace

// All are made anew for each measurement.
#define PEER                std_deque
#define PEER_NAME           "std::deque + mutex + cv"
#define PEER_KIND           BENCH_PEER
#define PEER_T              std::optional<deque_chan>
#define PEER_CAN            CHAN_UNBOUNDED
#define PEER_INIT(c, n)     (c)->emplace()
#define PEER_DESTROY(c)     (c)->reset()
#define PEER_SEND(c, value) (*(c))->send(value)
#define PEER_RECV(c, to)    (*(to) = (*(c))->recv())
#include "chan_loops.h"

#ifdef BENCH_HAVE_TBB
namespace {
using tbb_bounded = tbb::concurrent_bounded_queue<uint64_t>;
void tbb_init(std::optional<tbb_bounded> *c, size_t capacity) {
    c->emplace();
    if (capacity != CHAN_NO_BOUND) {
        (*c)->set_capacity(static_cast<tbb_bounded::size_type>(capacity));
    }
}
} // namespace

#  define PEER                tbb_bounded
#  define PEER_NAME           "tbb::concurrent_bounded_queue"
#  define PEER_KIND           BENCH_PEER
#  define PEER_T              std::optional<tbb_bounded>
#  define PEER_CAN            CHAN_BOUNDED | CHAN_CAP1 | CHAN_UNBOUNDED
#  define PEER_INIT(c, n)     tbb_init((c), (n))
#  define PEER_DESTROY(c)     (c)->reset()
#  define PEER_SEND(c, value) (*(c))->push(value)
#  define PEER_RECV(c, to)    (*(c))->pop(*(to))
#  include "chan_loops.h"

#  define PEER                tbb_queue
#  define PEER_NAME           "tbb::concurrent_queue"
#  define PEER_KIND           BENCH_SPIN
#  define PEER_T              std::optional<tbb::concurrent_queue<uint64_t>>
#  define PEER_CAN            CHAN_UNBOUNDED
#  define PEER_INIT(c, n)     (c)->emplace()
#  define PEER_DESTROY(c)     (c)->reset()
#  define PEER_SEND(c, value) (*(c))->push(value)
#  define PEER_RECV(c, to)    CHAN_UNTIL((*(c))->try_pop(*(to)))
#  include "chan_loops.h"
#endif

#ifdef BENCH_HAVE_BOOST
namespace {
using boost_bounded = boost::lockfree::queue<uint64_t, boost::lockfree::fixed_sized<true>>;
using boost_unbounded = boost::lockfree::queue<uint64_t>;
using boost_single = boost::lockfree::spsc_queue<uint64_t>;

void boost_send_n(boost_single &queue, const uint64_t *values, size_t n) {
    for (size_t sent = 0; sent < n;) {
        size_t some = 0;
        CHAN_UNTIL((some = queue.push(values + sent, n - sent)) != 0);
        sent += some;
    }
}

size_t boost_recv_n(boost_single &queue, uint64_t *values, size_t n) {
    size_t got = 0;
    CHAN_UNTIL((got = queue.pop(values, n)) != 0);
    return got;
}
} // namespace

#  define PEER                boost_bounded
#  define PEER_NAME           "boost::lockfree::queue, fixed"
#  define PEER_KIND           BENCH_SPIN
#  define PEER_T              std::optional<boost_bounded>
#  define PEER_CAN            CHAN_BOUNDED | CHAN_CAP1
#  define PEER_INIT(c, n)     (c)->emplace(n)
#  define PEER_DESTROY(c)     (c)->reset()
#  define PEER_SEND(c, value) CHAN_UNTIL((*(c))->push(value))
#  define PEER_RECV(c, to)    CHAN_UNTIL((*(c))->pop(*(to)))
#  include "chan_loops.h"

#  define PEER                boost_unbounded
#  define PEER_NAME           "boost::lockfree::queue"
#  define PEER_KIND           BENCH_SPIN
#  define PEER_T              std::optional<boost_unbounded>
#  define PEER_CAN            CHAN_UNBOUNDED
#  define PEER_INIT(c, n)     (c)->emplace(128)
#  define PEER_DESTROY(c)     (c)->reset()
#  define PEER_SEND(c, value) CHAN_UNTIL((*(c))->push(value))
#  define PEER_RECV(c, to)    CHAN_UNTIL((*(c))->pop(*(to)))
#  include "chan_loops.h"

#  define PEER                 boost_single
#  define PEER_NAME            "boost::lockfree::spsc_queue"
#  define PEER_KIND            BENCH_SPIN
#  define PEER_T               std::optional<boost_single>
#  define PEER_CAN             CHAN_SINGLE
#  define PEER_INIT(c, n)      (c)->emplace(n)
#  define PEER_DESTROY(c)      (c)->reset()
#  define PEER_SEND(c, value)  CHAN_UNTIL((*(c))->push(value))
#  define PEER_RECV(c, to)     CHAN_UNTIL((*(c))->pop(*(to)))
#  define PEER_SEND_N(c, v, n) boost_send_n(**(c), (v), (n))
#  define PEER_RECV_N(c, v, n) boost_recv_n(**(c), (v), (n))
#  include "chan_loops.h"
#endif

#ifdef BENCH_HAVE_MOODYCAMEL
#  define PEER                moodycamel
#  define PEER_NAME           "moodycamel BlockingConcurrent"
#  define PEER_KIND           BENCH_PEER
#  define PEER_T              std::optional<moodycamel::BlockingConcurrentQueue<uint64_t>>
#  define PEER_CAN            CHAN_UNBOUNDED
#  define PEER_INIT(c, n)     (c)->emplace()
#  define PEER_DESTROY(c)     (c)->reset()
#  define PEER_SEND(c, value) (*(c))->enqueue(value)
#  define PEER_RECV(c, to)    (*(c))->wait_dequeue(*(to))
#  include "chan_loops.h"
#endif

#ifdef BENCH_HAVE_READERWRITER
namespace {
using rw_circular = moodycamel::BlockingReaderWriterCircularBuffer<uint64_t>;
using rw_queue = moodycamel::BlockingReaderWriterQueue<uint64_t>;
} // namespace

#  define PEER                rw_circular
#  define PEER_NAME           "moodycamel BlockingRWCircular"
#  define PEER_KIND           BENCH_PEER
#  define PEER_T              std::optional<rw_circular>
#  define PEER_CAN            CHAN_SINGLE
#  define PEER_INIT(c, n)     (c)->emplace(n)
#  define PEER_DESTROY(c)     (c)->reset()
#  define PEER_SEND(c, value) (*(c))->wait_enqueue(value)
#  define PEER_RECV(c, to)    (*(c))->wait_dequeue(*(to))
#  include "chan_loops.h"

#  define PEER                rw_queue
#  define PEER_NAME           "moodycamel BlockingRWQueue"
#  define PEER_KIND           BENCH_PEER
#  define PEER_T              std::optional<rw_queue>
#  define PEER_CAN            CHAN_SINGLE_UNBOUNDED
#  define PEER_INIT(c, n)     (c)->emplace()
#  define PEER_DESTROY(c)     (c)->reset()
#  define PEER_SEND(c, value) (*(c))->enqueue(value)
#  define PEER_RECV(c, to)    (*(c))->wait_dequeue(*(to))
#  include "chan_loops.h"
#endif

#ifdef BENCH_HAVE_XENIUM
#  define PEER                xenium
#  define PEER_NAME           "xenium::vyukov_bounded_queue"
#  define PEER_KIND           BENCH_SPIN
#  define PEER_T              std::optional<xenium::vyukov_bounded_queue<uint64_t>>
#  define PEER_CAN            CHAN_BOUNDED
#  define PEER_INIT(c, n)     (c)->emplace(n)
#  define PEER_DESTROY(c)     (c)->reset()
#  define PEER_SEND(c, value) CHAN_UNTIL((*(c))->try_push(value))
#  define PEER_RECV(c, to)    CHAN_UNTIL((*(c))->try_pop(*(to)))
#  include "chan_loops.h"
#endif

extern "C" void add_cxx_chans(void);
extern "C" void add_cxx_chans(void) {
    add_std_deque();
#ifdef BENCH_HAVE_TBB
    add_tbb_bounded();
    add_tbb_queue();
#else
    bench_skip("oneTBB", "not found (Debian: libtbb-dev)");
#endif
#ifdef BENCH_HAVE_BOOST
    add_boost_bounded();
    add_boost_unbounded();
    add_boost_single();
#else
    bench_skip("Boost.Lockfree", "not found (Debian: libboost-dev)");
#endif
#ifdef BENCH_HAVE_MOODYCAMEL
    add_moodycamel();
#else
    bench_skip("moodycamel::ConcurrentQueue", "not found (Debian: libconcurrentqueue-dev)");
#endif
#ifdef BENCH_HAVE_READERWRITER
    add_rw_circular();
    add_rw_queue();
#else
    bench_skip("moodycamel::ReaderWriterQueue", "not found (Debian: libreaderwriterqueue-dev)");
#endif
#ifdef BENCH_HAVE_XENIUM
    add_xenium();
#else
    bench_skip("xenium", "not found (Debian: libxenium-dev)");
#endif
}
