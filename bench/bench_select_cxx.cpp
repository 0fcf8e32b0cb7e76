/* bench_select_cxx.cpp - the C++ peers of bench_select: queues that are looked at in turn. */
#include "select_loops.h"

#include <optional>
#ifdef BENCH_HAVE_TBB
#  include <oneapi/tbb/concurrent_queue.h>
#endif
#ifdef BENCH_HAVE_BOOST
#  include <boost/lockfree/queue.hpp>
#endif

namespace {
template <class Queue> struct in_turn {
    struct {
        alignas(BENCH_LINE) std::optional<Queue> queue;
    } chan[SELECT_CHANS];
    alignas(BENCH_LINE) unsigned turn;

    template <class Take> bool take(Take take) {
        for (unsigned k = 0; k < SELECT_CHANS; k++) {
            if (take(*chan[turn++ % SELECT_CHANS].queue)) {
                return true;
            }
        }
        return false;
    }
};
} // namespace

#ifdef BENCH_HAVE_TBB
namespace {
using tbb_chans = in_turn<tbb::concurrent_bounded_queue<uint64_t>>;
void tbb_init(tbb_chans *s, size_t capacity) {
    for (auto &chan : s->chan) {
        chan.queue.emplace();
        chan.queue->set_capacity(static_cast<std::ptrdiff_t>(capacity));
    }
}
bool tbb_take(tbb_chans *s, uint64_t *value) {
    return s->take([value](auto &queue) { return queue.try_pop(*value); });
}
} // namespace

#  define PEER            tbb_bounded
#  define PEER_NAME       "tbb bounded_queue, in turn"
#  define PEER_KIND       BENCH_SPIN
#  define PEER_T          tbb_chans
#  define PEER_CAN        CHAN_BOUNDED | CHAN_CAP1
#  define PEER_INIT(s, n) tbb_init((s), (n))
#  define PEER_DESTROY(s)        \
    for (auto &chan : (s)->chan) \
    chan.queue.reset()
#  define PEER_SEND(s, i, value) (s)->chan[i].queue->push(value)
#  define PEER_SELECT(s, to)     CHAN_UNTIL(tbb_take((s), (to)))
#  define PEER_TRY_SELECT(s, to) tbb_take((s), (to))
#  include "select_loops.h"
#endif

#ifdef BENCH_HAVE_BOOST
namespace {
using boost_chans = in_turn<boost::lockfree::queue<uint64_t, boost::lockfree::fixed_sized<true>>>;
void boost_init(boost_chans *s, size_t capacity) {
    for (auto &chan : s->chan) {
        chan.queue.emplace(capacity);
    }
}
bool boost_take(boost_chans *s, uint64_t *value) {
    return s->take([value](auto &queue) { return queue.pop(*value); });
}
} // namespace

#  define PEER            boost_fixed
#  define PEER_NAME       "boost::lockfree, in turn"
#  define PEER_KIND       BENCH_SPIN
#  define PEER_T          boost_chans
#  define PEER_CAN        CHAN_BOUNDED | CHAN_CAP1
#  define PEER_INIT(s, n) boost_init((s), (n))
#  define PEER_DESTROY(s)        \
    for (auto &chan : (s)->chan) \
    chan.queue.reset()
#  define PEER_SEND(s, i, value) CHAN_UNTIL((s)->chan[i].queue->push(value))
#  define PEER_SELECT(s, to)     CHAN_UNTIL(boost_take((s), (to)))
#  define PEER_TRY_SELECT(s, to) boost_take((s), (to))
#  include "select_loops.h"
#endif

extern "C" void add_cxx_selects(void);
extern "C" void add_cxx_selects(void) {
#ifdef BENCH_HAVE_TBB
    add_tbb_bounded();
#else
    bench_skip("oneTBB", "not found (Debian: libtbb-dev)");
#endif
#ifdef BENCH_HAVE_BOOST
    add_boost_fixed();
#else
    bench_skip("Boost.Lockfree", "not found (Debian: libboost-dev)");
#endif
}
