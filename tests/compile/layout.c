/* Sizes and places of all public fields, as the compiler sees them: compiled once as C and once as
   C++, and compared by use.cpp. */
#include "layout.h"

#ifdef __cplusplus
#  define PROBE layout_cxx
#else
#  define PROBE layout_c
#endif

#define SIZE(type)         sizeof(type)
#define PLACE(type, field) offsetof(type, field)

const size_t *PROBE(size_t *count) {
    static const size_t layout[] = {
        SIZE(cth_mutex),
        SIZE(cth_rmutex),
        SIZE(cth_rwlock),
        SIZE(cth_cond),
        SIZE(cth_sem),
        SIZE(cth_event),
        SIZE(cth_latch),
        SIZE(cth_barrier),
        SIZE(cth_barrier_desc),
        SIZE(cth_once),
        SIZE(cth_cancel),
        SIZE(cth_local),
        SIZE(cth_rng),
        SIZE(cth_thread_desc),
        SIZE(cth_sem_desc),
        SIZE(cth_status),
        SIZE(cth__under),
        SIZE(cth_timer),
        SIZE(cth_queue),
        SIZE(cth_queue_desc),
        SIZE(cth_queue_order),
        SIZE(cth_shutdown),
        SIZE(cth_chan),
        SIZE(cth_chan_desc),
        SIZE(cth_case),
        SIZE(cth_executor_desc),
        SIZE(cth_executor_counts),
        SIZE(cth_full_policy),
        SIZE(cth_wait_for),
        SIZE(cth_process_desc),
        PLACE(cth_process_desc, init_arg_size),
        PLACE(cth_process_desc, timeout),
        SIZE(cth_case_kind),
        SIZE(cth_team_desc),
        SIZE(cth_reduction),
        SIZE(cth_call),
        SIZE(cth_forks),
        SIZE(cth__fork),
        SIZE(cth__deque),
        SIZE(cth__popped),
        SIZE(cth_scope),
        SIZE(cth_main),
        SIZE(cth_progress_desc),
        SIZE(cth_progress),
        PLACE(cth_rmutex, depth),
        PLACE(cth_sem, bound),
        PLACE(cth_barrier, action),
        PLACE(cth_cancel, flags),
        PLACE(cth_cancel, reason),
        PLACE(cth_cancel, parent),
        PLACE(cth_cancel, deadline),
        PLACE(cth_local, slot),
        PLACE(cth_thread_desc, daemon),
        PLACE(cth_thread_desc, cancel),
        PLACE(cth_sem_desc, saturating),
        PLACE(cth_timer, state),
        PLACE(cth_queue, size),
        PLACE(cth_queue, slots),
        PLACE(cth_queue, desc),
        PLACE(cth_chan, rear),
        PLACE(cth_chan, front),
        SIZE(cth__side),
        PLACE(cth__side, block),
        PLACE(cth_case, value),
        PLACE(cth_case, record),
        PLACE(cth_executor_desc, capacity),
        PLACE(cth_executor_desc, on_start),
        PLACE(cth_executor_counts, completed),
        PLACE(cth_team_desc, name),
        PLACE(cth_reduction, grain),
        PLACE(cth__fork, u),
        PLACE(cth__deque, room),
        PLACE(cth__popped, here),
        PLACE(cth_scope, status),
        PLACE(cth_main, fd),
        PLACE(cth_progress, count),
#ifdef CTHREADS_SIM
        SIZE(cth_sim_desc),
        SIZE(cth_sim_report),
        SIZE(cth_sim_strategy),
        PLACE(cth_sim_desc, report),
        PLACE(cth_sim_report, text),
#endif
    };
    *count = sizeof(layout) / sizeof(layout[0]);
    return layout;
}
