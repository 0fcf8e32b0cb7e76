/* sim_queue.c - queues under many schedules, histories against a model, and bugs that must be found

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

// Where threads are no fibers each schedule is many times slower.
#define IF_FIBERS(n) (CTH__FIBERS ? (n) : (n) / 5)

static cth_queue queue;
static cth_cancel token;
static int put_sum, got_sum, n_put, n_got; // no two threads run at once

/* As often as it takes; an init that fails changes nothing. */
static void fresh_as(cth_queue *q, size_t bound, const cth_queue_desc *desc) {
    cth_queue before;
    memset(q, 0x5a, sizeof *q);
    before = *q;
    sim_begin();
    put_sum = got_sum = n_put = n_got = 0;
    cth_status status;
    while ((status = cth_queue_init(q, sizeof(int), bound, desc)) != CTH_OK) {
        CTH_SIM_CHECK(status == CTH_NOMEM && memcmp(q, &before, sizeof *q) == 0);
    }
}

static void fresh(size_t bound) {
    fresh_as(&queue, bound, NULL);
}

static void finish(void) {
    CTH_SIM_CHECK(cth_queue_destroy(&queue) == CTH_OK);
}

/* -- scenarios ----------------------------------------------------------------------------------
 */

static cth_status put_two(void *arg) {
    const int base = *(int *)arg;
    for (int i = 1; i <= 2; i++) {
        const int value = base * i;
        cth_status status;
        do {
            status = cth_queue_put(&queue, &value);
        } while (status == CTH_NOMEM);
        if (status == CTH_SHUTDOWN || status == CTH_CANCELLED) {
            return CTH_OK;
        }
        CTH_SIM_CHECK(status == CTH_OK);
        put_sum += value;
        n_put++;
    }
    return CTH_OK;
}

static cth_status get_all(void *arg) {
    int value;
    (void)arg;
    for (;;) {
        const cth_status status = cth_queue_get(&queue, &value);
        if (status == CTH_SHUTDOWN) {
            return CTH_OK;
        }
        CTH_SIM_CHECK(status == CTH_OK);
        got_sum += value;
        n_got++;
        CTH_SIM_CHECK(cth_queue_task_done(&queue) == CTH_OK);
    }
}

static int one = 1, ten = 10;

/* Two of each: every element is got once; join sees all done; a drain ends the getters. */
static cth_status hand_over(size_t bound) {
    fresh(bound);
    cth_thread *a = sim_spawn(get_all, NULL);
    cth_thread *b = sim_spawn(get_all, NULL);
    cth_thread *c = sim_spawn(put_two, &one);
    CTH_SIM_CHECK(put_two(&ten) == CTH_OK);
    sim_join(c);
    CTH_SIM_CHECK(cth_queue_join(&queue) == CTH_OK);
    CTH_SIM_CHECK(n_got == 4 && got_sum == 33);
    CTH_SIM_CHECK(cth_queue_shutdown(&queue, CTH_DRAIN) == CTH_OK);
    sim_join(a);
    sim_join(b);
    finish();
    return CTH_OK;
}

static cth_status hand_over_1(void *arg) {
    (void)arg;
    return hand_over(1);
}

static cth_status hand_over_unbounded(void *arg) {
    (void)arg;
    return hand_over(0);
}

/* An array that grows in the middle of all, or cannot: a put that fails has put nothing. */
enum { MANY = 13 };

static int by_value(const void *a, const void *b, void *arg) {
    const int x = *(const int *)a, y = *(const int *)b;
    (void)arg;
    return (x > y) - (x < y);
}

static cth_status put_many(void *arg) {
    (void)arg;
    for (int i = 1; i <= MANY; i++) {
        cth_status status;
        while ((status = cth_queue_put(&queue, &i)) != CTH_OK) {
            CTH_SIM_CHECK(status == CTH_NOMEM);
        }
    }
    return CTH_OK;
}

static cth_status grows(void *arg) {
    const cth_queue_desc desc = {.order = (cth_queue_order)cth_sim_choose(3), .compare = by_value};
    unsigned got = 0;
    (void)arg;
    fresh_as(&queue, 0, &desc);
    cth_thread *putter = sim_spawn(put_many, NULL);
    for (int i = 1, last = 0; i <= MANY; i++) {
        int value = -1;
        CTH_SIM_CHECK(cth_queue_get(&queue, &value) == CTH_OK);
        CTH_SIM_CHECK(value >= 1 && value <= MANY && (got & (1u << value)) == 0);
        CTH_SIM_CHECK(desc.order != CTH_FIFO || value == last + 1);
        last = value;
        got |= 1u << value;
    }
    sim_join(putter);
    CTH_SIM_CHECK(cth_queue_is_empty(&queue));
    finish();
    return CTH_OK;
}

static cth_status get_until(void *arg) {
    int value = -1;
    (void)arg;
    const cth_time deadline = cth_sim_choose(4) == 0 ? 0 : sim_soon();
    const cth_status status = cth_queue_get_until(&queue, &value, deadline);
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
    CTH_SIM_CHECK(status == CTH_OK ? value == 5 : value == -1 && cth_now() >= deadline);
    n_got += status == CTH_OK;
    return CTH_OK;
}

static cth_status put_until(void *arg) {
    const int five = 5;
    (void)arg;
    const cth_status status = cth_queue_put_until(&queue, &five, sim_soon());
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
    n_put += status == CTH_OK;
    return CTH_OK;
}

/* A wake is not lost to one that times out, nor an element: what went in came out or is there. */
static cth_status timeouts(void *arg) {
    (void)arg;
    fresh(1);
    cth_thread *threads[4];
    for (int i = 0; i < 4; i++) {
        threads[i] = sim_spawn(i < 2 ? get_until : put_until, NULL);
    }
    for (int i = 0; i < 4; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(n_put - n_got == (int)cth_queue_size(&queue));
    finish();
    return CTH_OK;
}

static cth_status put_under(void *arg) {
    CTH_UNDER(&token) {
        CTH_SIM_CHECK(put_two(arg) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status cancelled(void *arg) {
    int value;
    (void)arg;
    fresh(1);
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, CTH_FOREVER) == CTH_OK);
    cth_thread *under = sim_spawn(put_under, &one);
    cth_thread *free_one = sim_spawn(put_two, &ten);
    CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    for (int i = 0; i < 2; i++) {
        CTH_SIM_CHECK(cth_queue_get(&queue, &value) == CTH_OK);
        got_sum += value;
    }
    sim_join(under);
    while (cth_thread_is_alive(free_one)) {
        if (cth_queue_try_get(&queue, &value) == CTH_OK) {
            got_sum += value;
        }
        cth_yield();
    }
    sim_join(free_one);
    while (cth_queue_try_get(&queue, &value) == CTH_OK) {
        got_sum += value;
    }
    CTH_SIM_CHECK(got_sum == put_sum);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    finish();
    return CTH_OK;
}

static void drop(void *element, void *arg) {
    got_sum += *(int *)element;
    ++*(int *)arg;
}

static cth_status join_all(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_queue_join(&queue) == CTH_OK);
    return CTH_OK;
}

/* Shut down in the middle: every element is got, dropped, or its put failed. */
static cth_status shutdown_meets_all(void *arg) {
    int dropped = 0;
    const cth_queue_desc desc = {.drop = drop, .arg = &dropped};
    (void)arg;
    fresh_as(&queue, cth_sim_choose(2), &desc);
    cth_thread *getter = sim_spawn(get_all, NULL);
    cth_thread *putter = sim_spawn(put_two, &one);
    cth_thread *joiner = sim_spawn(join_all, NULL);
    for (uint32_t n = cth_sim_choose(6); n > 0; n--) {
        cth_yield();
    }
    const cth_shutdown how = cth_sim_choose(2) == 0 ? CTH_DRAIN : CTH_NOW;
    CTH_SIM_CHECK(cth_queue_shutdown(&queue, how) == CTH_OK);
    sim_join(putter);
    sim_join(getter);
    sim_join(joiner);
    CTH_SIM_CHECK(n_got + dropped == n_put && got_sum == put_sum);
    CTH_SIM_CHECK(how == CTH_NOW || dropped == 0);
    finish();
    return CTH_OK;
}

/* A waiter that gives up, by its deadline or its token, and one that does not: the only wake is not
   lost on the one that gives up, whichever of the two it was meant for. */
static bool hasty_done;

static cth_status hasty_call(void *arg) {
    const bool gets = *(bool *)arg;
    const bool timed = cth_sim_choose(2) == 0;
    const cth_time deadline = timed ? sim_soon() : CTH_FOREVER;
    int value = gets ? -1 : 9;
    cth_status status = CTH_BROKEN;
    CTH_UNDER(timed ? NULL : &token) {
        status = gets ? cth_queue_get_until(&queue, &value, deadline)
                      : cth_queue_put_until(&queue, &value, deadline);
    }
    CTH_SIM_CHECK(status == CTH_OK || status == (timed ? CTH_TIMEDOUT : CTH_CANCELLED));
    CTH_SIM_CHECK(!gets || (value == -1) == (status != CTH_OK));
    hasty_done = status == CTH_OK;
    return CTH_OK;
}

static cth_status patient_call(void *arg) {
    const bool gets = *(bool *)arg;
    int value = 8;
    CTH_SIM_CHECK((gets ? cth_queue_get(&queue, &value) : cth_queue_put(&queue, &value)) == CTH_OK);
    return CTH_OK;
}

static void let_one_go(bool gets) {
    int value = 7;
    CTH_SIM_CHECK((gets ? cth_queue_put(&queue, &value) : cth_queue_get(&queue, &value)) == CTH_OK);
}

static cth_status wakes_are_not_eaten(void *arg) {
    bool gets = cth_sim_choose(2) == 0;
    (void)arg;
    fresh(1);
    hasty_done = false;
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, CTH_FOREVER) == CTH_OK);
    if (!gets) {
        let_one_go(true);
    }
    const bool first = cth_sim_choose(2) == 0;
    cth_thread *a = sim_spawn(first ? hasty_call : patient_call, &gets);
    cth_thread *b = sim_spawn(first ? patient_call : hasty_call, &gets);
    for (uint32_t n = cth_sim_choose(4); n > 0; n--) {
        cth_yield();
    }
    const bool early = cth_sim_choose(2) == 0;
    if (early) {
        CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    }
    let_one_go(gets);
    if (!early) {
        CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    }
    sim_join(first ? a : b);
    if (hasty_done) {
        let_one_go(gets);
    }
    sim_join(first ? b : a);
    CTH_SIM_CHECK(cth_queue_size(&queue) == (gets ? 0 : 1));
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    finish();
    return CTH_OK;
}

/* Plain memory: there with the element, back with task_done. */
static int cells[3];

static cth_status fill_cells(void *arg) {
    (void)arg;
    for (int i = 0; i < 3; i++) {
        CTH_SIM_WRITE(cells[i]);
        cells[i] = i;
        CTH_SIM_CHECK(cth_queue_put(&queue, &i) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status work_on_cells(void *arg) {
    int i;
    (void)arg;
    while (cth_queue_get(&queue, &i) == CTH_OK) {
        CTH_SIM_READ(cells[i]);
        CTH_SIM_WRITE(cells[i]);
        cells[i] += 10;
        CTH_SIM_CHECK(cth_queue_task_done(&queue) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status data_goes_along(void *arg) {
    (void)arg;
    fresh(cth_sim_choose(2));
    cth_thread *a = sim_spawn(work_on_cells, NULL);
    cth_thread *b = sim_spawn(work_on_cells, NULL);
    CTH_SIM_CHECK(fill_cells(NULL) == CTH_OK);
    CTH_SIM_CHECK(cth_queue_join(&queue) == CTH_OK);
    for (int i = 0; i < 3; i++) {
        CTH_SIM_READ(cells[i]);
        CTH_SIM_CHECK(cells[i] == 10 + i);
    }
    CTH_SIM_CHECK(cth_queue_shutdown(&queue, CTH_NOW) == CTH_OK);
    sim_join(a);
    sim_join(b);
    finish();
    return CTH_OK;
}

/* Joiners with deadlines or without: a join that succeeds saw all done, one that does not ended no
   earlier than its time. */
static int n_done; // no two threads run at once

static cth_status join_some(void *arg) {
    (void)arg;
    const cth_time deadline = cth_sim_choose(2) == 0 ? CTH_FOREVER : sim_soon();
    const cth_status status = cth_queue_join_until(&queue, deadline);
    CTH_SIM_CHECK(status == CTH_OK ? n_done == 2 : status == CTH_TIMEDOUT && cth_now() >= deadline);
    return CTH_OK;
}

static cth_status work(void *arg) {
    int value;
    (void)arg;
    CTH_SIM_CHECK(cth_queue_get(&queue, &value) == CTH_OK);
    n_done++;
    CTH_SIM_CHECK(cth_queue_task_done(&queue) == CTH_OK);
    return CTH_OK;
}

static cth_status joins(void *arg) {
    (void)arg;
    fresh(0);
    n_done = 0;
    for (int i = 0; i < 2; i++) {
        CTH_SIM_CHECK(cth_queue_put(&queue, &one) == CTH_OK);
    }
    cth_thread *threads[] = {sim_spawn(join_some, NULL), sim_spawn(work, NULL),
                             sim_spawn(join_some, NULL), sim_spawn(work, NULL)};
    for (int i = 0; i < 4; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(cth_queue_task_done(&queue) == CTH_OVERFLOW);
    CTH_SIM_CHECK(cth_queue_join_until(&queue, 0) == CTH_OK);
    finish();
    return CTH_OK;
}

/* -- freed after the last use ---------------------------------------------------------------------
 */

static cth_queue gone;

static void fresh_gone(void) {
    CTH_SIM_FRESH(gone);
    fresh_as(&gone, 1, NULL);
}

static void destroy_gone(void) {
    CTH_SIM_CHECK(cth_queue_destroy(&gone) == CTH_OK);
    sim_gone(&gone, sizeof gone);
}

static cth_status put_one(void *arg) {
    CTH_SIM_CHECK(cth_queue_put((cth_queue *)arg, &one) == CTH_OK);
    return CTH_OK;
}

/* The getter of the last element destroys the queue while its put may not be back. */
static cth_status freed_at_once(void *arg) {
    int value;
    (void)arg;
    fresh_gone();
    cth_thread *putter = sim_spawn(put_one, &gone);
    CTH_SIM_CHECK(cth_queue_get(&gone, &value) == CTH_OK);
    destroy_gone();
    sim_join(putter);
    sim_untouched(&gone, sizeof gone);
    return CTH_OK;
}

/* So does the putter that a get has let go on. */
static cth_status get_gone(void *arg) {
    int value;
    (void)arg;
    CTH_SIM_CHECK(cth_queue_get(&gone, &value) == CTH_OK && value == 1);
    return CTH_OK;
}

static cth_status freed_after_put(void *arg) {
    (void)arg;
    fresh_gone();
    CTH_SIM_CHECK(cth_queue_put(&gone, &one) == CTH_OK);
    cth_thread *getter = sim_spawn(get_gone, NULL);
    CTH_SIM_CHECK(cth_queue_put(&gone, &ten) == CTH_OK);
    destroy_gone();
    sim_join(getter);
    sim_untouched(&gone, sizeof gone);
    return CTH_OK;
}

/* And the joiner that the last task_done has let go on. */
static cth_status work_gone(void *arg) {
    CTH_SIM_CHECK(get_gone(arg) == CTH_OK);
    CTH_SIM_CHECK(cth_queue_task_done(&gone) == CTH_OK);
    return CTH_OK;
}

static cth_status freed_after_join(void *arg) {
    (void)arg;
    fresh_gone();
    CTH_SIM_CHECK(cth_queue_put(&gone, &one) == CTH_OK);
    cth_thread *worker = sim_spawn(work_gone, NULL);
    CTH_SIM_CHECK(cth_queue_join(&gone) == CTH_OK);
    destroy_gone();
    sim_join(worker);
    sim_untouched(&gone, sizeof gone);
    return CTH_OK;
}

/* And whoever has learnt of the shutdown, while that is not back. */
static cth_status destroy_when_shut(void *arg) {
    const bool gets = cth_sim_choose(2) == 0;
    int value = 5;
    cth_status status = CTH_OK;
    (void)arg;
    while (status == CTH_OK) { // the second put has to wait
        status = gets ? cth_queue_get(&gone, &value) : cth_queue_put(&gone, &value);
    }
    CTH_SIM_CHECK(status == CTH_SHUTDOWN);
    destroy_gone();
    return CTH_OK;
}

static cth_status freed_after_shutdown(void *arg) {
    (void)arg;
    fresh_gone();
    cth_thread *waiter = sim_spawn(destroy_when_shut, NULL);
    const cth_shutdown how = cth_sim_choose(2) == 0 ? CTH_DRAIN : CTH_NOW;
    CTH_SIM_CHECK(cth_queue_shutdown(&gone, how) == CTH_OK);
    sim_join(waiter);
    sim_untouched(&gone, sizeof gone);
    return CTH_OK;
}

/* -- small histories against a model ------------------------------------------------------------

   Three threads make random calls on a queue for one or two elements; each call notes when it began
   and ended. A history is right if its calls, put into some order which keeps every call behind
   those that had ended when it began, return what a queue used by one thread would.
 */

enum {
    TRY_PUT,
    TRY_GET,
    PUT_UNTIL,
    GET_UNTIL,
    SIZE,
    PEEK,
    TASK_DONE,
    JOIN_UNTIL,
    SHUT_DRAIN,
    SHUT_NOW
};
enum { WORKERS = 3, MOST = 4 };

typedef struct call {
    int what, value; // put: what; get, peek, size: the result
    cth_status status;
    uint32_t began, ended;
} call;

static call history[WORKERS][MOST];
static cth__word ticks; // as an atomic: what ended before another began happened before it
static size_t bound;
static cth_queue_order order;
static unsigned dropped; // a bit for each value

static void drop_value(void *element, void *arg) {
    const unsigned bit = 1u << *(int *)element;
    (void)arg;
    CTH_SIM_CHECK((dropped & bit) == 0);
    dropped |= bit;
}

/* Priorities: three values have the same. */
static int by_part(const void *a, const void *b, void *arg) {
    (void)arg;
    return *(const int *)a % 4 - *(const int *)b % 4;
}

static int choose_call(void) {
    static const int likely[] = {TRY_PUT,   TRY_PUT,   TRY_PUT,   TRY_GET,   TRY_GET,
                                 TRY_GET,   PUT_UNTIL, PUT_UNTIL, PUT_UNTIL, GET_UNTIL,
                                 GET_UNTIL, GET_UNTIL, SIZE,      PEEK,      TASK_DONE};
    const uint32_t n = sizeof likely / sizeof *likely;
    const uint32_t i = cth_sim_choose(n + 1);
    return i < n ? likely[i] : JOIN_UNTIL + (int)cth_sim_choose(3);
}

/* Planted: a get of two steps, between which another may take the element. */
static cth_status try_get(int *got) {
    if (!planted) {
        return cth_queue_try_get(&queue, got);
    }
    int ignored;
    const cth_status status = cth_queue_peek(&queue, got);
    return status == CTH_OK ? cth_queue_try_get(&queue, &ignored) : CTH_EMPTY;
}

static cth_status make_calls(void *arg) {
    call *mine = (call *)arg;
    for (int i = 0; i < MOST; i++) {
        call *c = &mine[i];
        c->what = choose_call();
        c->value = (int)(mine - history[0]) + i;
        int got = -1;
        c->began = cth__add(&ticks, 1, acq_rel);
        switch (c->what) {
        case TRY_PUT: c->status = cth_queue_try_put(&queue, &c->value); break;
        case PUT_UNTIL: c->status = cth_queue_put_until(&queue, &c->value, sim_soon()); break;
        case TRY_GET: c->status = try_get(&got); break;
        case GET_UNTIL: c->status = cth_queue_get_until(&queue, &got, sim_soon()); break;
        case PEEK: c->status = cth_queue_peek(&queue, &got); break;
        case TASK_DONE: c->status = cth_queue_task_done(&queue); break;
        case JOIN_UNTIL: c->status = cth_queue_join_until(&queue, sim_soon()); break;
        case SHUT_DRAIN: c->status = cth_queue_shutdown(&queue, CTH_DRAIN); break;
        case SHUT_NOW: c->status = cth_queue_shutdown(&queue, CTH_NOW); break;
        default:
            got = (int)cth_queue_size(&queue);
            CTH_SIM_CHECK(got >= 0 && (size_t)got <= bound);
            c->status = CTH_OK;
            break;
        }
        c->ended = cth__add(&ticks, 1, acq_rel);
        if (c->what != TRY_PUT && c->what != PUT_UNTIL) {
            c->value = got;
        }
    }
    return CTH_OK;
}

typedef struct model {
    int at[WORKERS]; // how many calls of each have been put into the order
    int content[MOST * WORKERS];
    size_t n;
    int unfinished;
    bool shut;
    unsigned dropped;
} model;

static size_t model_front(const model *m) {
    size_t front = order == CTH_LIFO ? m->n - 1 : 0;
    for (size_t i = 1; order == CTH_PRIORITY && i < m->n; i++) {
        front = by_part(&m->content[i], &m->content[front], NULL) < 0 ? i : front;
    }
    return front;
}

static cth_status model_put(model *m, const call *c) {
    if (m->shut) {
        return CTH_SHUTDOWN;
    }
    if (m->n == bound) {
        return c->what == TRY_PUT ? CTH_FULL : CTH_TIMEDOUT;
    }
    m->content[m->n++] = c->value;
    m->unfinished++;
    return CTH_OK;
}

static cth_status model_get(model *m, const call *c, int *got) {
    if (m->n == 0) {
        return c->what == PEEK      ? CTH_EMPTY
               : m->shut            ? CTH_SHUTDOWN
               : c->what == TRY_GET ? CTH_EMPTY
                                    : CTH_TIMEDOUT;
    }
    const size_t front = model_front(m);
    *got = m->content[front];
    if (c->what != PEEK) {
        m->n--;
        for (size_t i = front; i < m->n; i++) {
            m->content[i] = m->content[i + 1];
        }
    }
    return CTH_OK;
}

static cth_status model_shutdown(model *m, bool now) {
    m->shut = true;
    while (now && m->n > 0) {
        m->dropped |= 1u << m->content[--m->n];
        m->unfinished -= m->unfinished > 0;
    }
    return CTH_OK;
}

/* Let the model make the call; true if it returns the same. */
static bool model_agrees(model *m, const call *c) {
    int got = -1;
    cth_status status = CTH_OK;
    switch (c->what) {
    case TRY_PUT:
    case PUT_UNTIL: return model_put(m, c) == c->status;
    case TRY_GET:
    case GET_UNTIL:
    case PEEK: status = model_get(m, c, &got); break;
    case TASK_DONE:
        status = m->unfinished > 0 ? CTH_OK : CTH_OVERFLOW;
        m->unfinished -= m->unfinished > 0;
        break;
    case JOIN_UNTIL: status = m->unfinished > 0 ? CTH_TIMEDOUT : CTH_OK; break;
    case SIZE: got = (int)m->n; break;
    default: status = model_shutdown(m, c->what == SHUT_NOW); break;
    }
    return status == c->status && got == c->value;
}

/* Whether the calls not yet in the model's order can go on from its state. */
static bool explains(const model *m) {
    uint32_t first_end = UINT32_MAX;
    for (int w = 0; w < WORKERS; w++) {
        if (m->at[w] < MOST && history[w][m->at[w]].ended < first_end) {
            first_end = history[w][m->at[w]].ended;
        }
    }
    if (first_end == UINT32_MAX) {
        return m->dropped == dropped;
    }
    for (int w = 0; w < WORKERS; w++) {
        if (m->at[w] == MOST || history[w][m->at[w]].began > first_end) {
            continue;
        }
        model next = *m;
        next.at[w]++;
        if (model_agrees(&next, &history[w][m->at[w]]) && explains(&next)) {
            return true;
        }
    }
    return false;
}

static cth_status linearizable(void *arg) {
    static const model start;
    cth_thread *threads[WORKERS - 1];
    (void)arg;
    bound = 1 + cth_sim_choose(2);
    order = (cth_queue_order)cth_sim_choose(3);
    dropped = 0;
    const cth_queue_desc desc = {.order = order, .compare = by_part, .drop = drop_value};
    fresh_as(&queue, bound, &desc);
    cth__store(&ticks, 0, relaxed);
    for (int w = 1; w < WORKERS; w++) {
        threads[w - 1] = sim_spawn(make_calls, history[w]);
    }
    CTH_SIM_CHECK(make_calls(history[0]) == CTH_OK);
    for (int w = 1; w < WORKERS; w++) {
        sim_join(threads[w - 1]);
    }
    CTH_SIM_CHECK(explains(&start));
    // What is left is dropped now, and nothing else is.
    for (int w = 0; w < WORKERS; w++) {
        for (int i = 0; i < MOST; i++) {
            const call *c = &history[w][i];
            if (c->status == CTH_OK && (c->what == TRY_GET || c->what == GET_UNTIL)) {
                drop_value(&(int){c->value}, NULL);
            }
        }
    }
    finish();
    for (int w = 0; w < WORKERS; w++) {
        for (int i = 0; i < MOST; i++) {
            const call *c = &history[w][i];
            const unsigned bit = 1u << (w * MOST + i);
            if (c->what == TRY_PUT || c->what == PUT_UNTIL) {
                CTH_SIM_CHECK(((dropped & bit) != 0) == (c->status == CTH_OK));
            }
        }
    }
    return CTH_OK;
}

/* -- complete searches ---------------------------------------------------------------------------
 */

static cth_status get_one(void *arg) {
    (void)arg;
    int value = 0;
    CTH_SIM_CHECK(cth_queue_get(&queue, &value) == CTH_OK && value == 1);
    return CTH_OK;
}

static cth_status pair(void *arg) {
    (void)arg;
    fresh(1);
    cth_thread *getter = sim_spawn(get_one, NULL);
    CTH_SIM_CHECK(cth_queue_put(&queue, &one) == CTH_OK);
    sim_join(getter);
    finish();
    return CTH_OK;
}

static cth_status full_pair(void *arg) {
    (void)arg;
    fresh(1);
    CTH_SIM_CHECK(cth_queue_put(&queue, &one) == CTH_OK);
    cth_thread *putter = sim_spawn(put_one, &queue);
    CTH_SIM_CHECK(get_one(NULL) == CTH_OK);
    CTH_SIM_CHECK(get_one(NULL) == CTH_OK);
    sim_join(putter);
    finish();
    return CTH_OK;
}

/* A get that may give up in vain, against a put. */
static cth_status get_or_give_up(void *arg) {
    int value = -1;
    (void)arg;
    const cth_status status = cth_queue_get_until(&queue, &value, cth_after(CTH_MS(1)));
    CTH_SIM_CHECK(status == CTH_OK ? value == 1 : status == CTH_TIMEDOUT && value == -1);
    n_got += status == CTH_OK;
    return CTH_OK;
}

static cth_status searched_timeout(void *arg) {
    (void)arg;
    fresh(1);
    cth_thread *getter = sim_spawn(get_or_give_up, NULL);
    CTH_SIM_CHECK(cth_queue_put(&queue, &one) == CTH_OK);
    sim_join(getter);
    CTH_SIM_CHECK(cth_queue_size(&queue) == (size_t)(1 - n_got));
    finish();
    return CTH_OK;
}

/* A drain finds the getter before its look, asleep, or with the only element. */
static cth_status get_until_shut(void *arg) {
    int value;
    (void)arg;
    while (cth_queue_get(&queue, &value) == CTH_OK) {
        n_got++;
    }
    return CTH_OK;
}

static cth_status searched_shutdown(void *arg) {
    (void)arg;
    fresh(1);
    cth_thread *getter = sim_spawn(get_until_shut, NULL);
    CTH_SIM_CHECK(cth_queue_shutdown(&queue, CTH_DRAIN) == CTH_OK);
    CTH_SIM_CHECK(cth_queue_put(&queue, &one) == CTH_SHUTDOWN);
    sim_join(getter);
    CTH_SIM_CHECK(n_got == 0);
    finish();
    return CTH_OK;
}

static cth_status mark_done(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_queue_task_done(&queue) == CTH_OK);
    return CTH_OK;
}

static cth_status searched_join(void *arg) {
    (void)arg;
    fresh(1);
    CTH_SIM_CHECK(cth_queue_put(&queue, &one) == CTH_OK);
    cth_thread *worker = sim_spawn(mark_done, NULL);
    CTH_SIM_CHECK(cth_queue_join(&queue) == CTH_OK);
    sim_join(worker);
    finish();
    return CTH_OK;
}

/* -- bugs that must be found --------------------------------------------------------------------
 */

/* A queue for one element on one condition, on which both sorts of waiters wait and one is woken.
   Planted: the one may be of the wrong sort. */
static struct {
    cth_mutex mutex;
    cth_cond changed;
    int count;
} toy;

static cth_status toy_put(void *arg) {
    (void)arg;
    CTH_WITH(&toy.mutex) {
        CTH_WAIT_WHILE(&toy.changed, &toy.mutex, toy.count == 1);
        toy.count = 1;
        CTH_SIM_CHECK(cth_cond_notify(&toy.changed, planted ? 1 : 9) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status toy_get(void *arg) {
    (void)arg;
    CTH_WITH(&toy.mutex) {
        CTH_WAIT_WHILE(&toy.changed, &toy.mutex, toy.count == 0);
        toy.count = 0;
        CTH_SIM_CHECK(cth_cond_notify(&toy.changed, planted ? 1 : 9) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status one_condition_for_two(void *arg) {
    cth_thread *threads[4];
    (void)arg;
    sim_begin();
    memset(&toy, 0, sizeof toy);
    for (int i = 0; i < 4; i++) {
        threads[i] = sim_spawn(i < 2 ? toy_get : toy_put, NULL);
    }
    for (int i = 0; i < 4; i++) {
        sim_join(threads[i]);
    }
    return CTH_OK;
}

/* Two waiters, each on a bell of its own; a put rings the one that came first. Planted: a waiter
   whose deadline passed does not look whether it was chosen, and takes the put with it. */
static struct {
    cth_mutex mutex;
    cth_event bells[2];
    bool waits[2], chosen[2];
} office;

static void office_put(void) {
    CTH_WITH(&office.mutex) {
        const int who = office.waits[0] ? 0 : 1;
        office.chosen[who] = true;
        office.waits[who] = false;
        CTH_SIM_CHECK(cth_event_set(&office.bells[who]) == CTH_OK);
    }
}

static cth_status hasty(void *arg) {
    bool *got = (bool *)arg;
    const cth_status status = cth_event_wait_until(&office.bells[0], sim_soon());
    CTH_WITH(&office.mutex) {
        *got = status == CTH_OK || (office.chosen[0] && !planted);
        office.waits[0] = false;
    }
    return CTH_OK;
}

static cth_status patient(void *arg) {
    (void)arg;
    return cth_event_wait(&office.bells[1]);
}

static cth_status timeout_eats_the_wake(void *arg) {
    bool got = false;
    (void)arg;
    sim_begin();
    memset(&office, 0, sizeof office);
    office.waits[0] = office.waits[1] = true;
    cth_thread *first = sim_spawn(hasty, &got);
    cth_thread *second = sim_spawn(patient, NULL);
    office_put();
    sim_join(first);
    if (got) {
        office_put();
    }
    sim_join(second);
    return CTH_OK;
}

/* A number of elements and a flag in one word, and the kit's own table of waiters. Planted: who is
   about to sleep sets the flag without another look at the number, which may have changed since. */
enum { TOY_FLAG = 1, TOY_ELEMENT = 2 };
static cth__word toy_word;

static void toy_word_put(void) {
    cth__self *self = cth__self_get();
    cth__wakes wakes = {0};
    if ((cth__add(&toy_word, TOY_ELEMENT, acq_rel) & TOY_FLAG) != 0) {
        cth__bucket *bucket = cth__bucket_lock(&toy_word, self);
        cth__claim_all(bucket, &toy_word, &wakes);
        (void)cth__and(&toy_word, ~(uint32_t)TOY_FLAG, relaxed);
        cth__unlock(&bucket->lock);
        cth__wake_all(&wakes);
    }
}

static cth_status toy_word_get(void *arg) {
    cth__self *self = cth__self_get();
    (void)arg;
    for (;;) {
        uint32_t found = cth__load(&toy_word, acquire);
        while (found >= TOY_ELEMENT) {
            if (cth__cas(&toy_word, &found, found - TOY_ELEMENT, acq_rel, acquire)) {
                return CTH_OK;
            }
        }
        cth__waiter w;
        cth__bucket *bucket = cth__bucket_lock(&toy_word, self);
        bool waits = true;
        if (planted) {
            (void)cth__or(&toy_word, TOY_FLAG, acq_rel);
        } else {
            found &= TOY_FLAG;
            waits = cth__cas(&toy_word, &found, TOY_FLAG, acq_rel, acquire);
        }
        if (!waits) {
            cth__unlock(&bucket->lock);
            continue;
        }
        cth__enqueue(bucket, &w, &toy_word, self, 0);
        cth__unlock(&bucket->lock);
        const cth__wait_desc desc = {
            .deadline = CTH_FOREVER, .what = "toy", .object = &toy_word, .site = NULL};
        (void)cth__park(self, &w, 1, &desc, NULL);
    }
}

static cth_status flag_without_a_look(void *arg) {
    (void)arg;
    sim_begin();
    cth__store(&toy_word, 0, relaxed);
    cth_thread *getter = sim_spawn(toy_word_get, NULL);
    toy_word_put();
    sim_join(getter);
    return CTH_OK;
}

/* Planted: a shutdown wakes one of those who wait, as a put does. */
static bool toy_shut;

static cth_status toy_get_until_shut(void *arg) {
    (void)arg;
    CTH_WITH(&toy.mutex) {
        CTH_WAIT_WHILE(&toy.changed, &toy.mutex, !toy_shut);
    }
    return CTH_OK;
}

static cth_status shutdown_wakes_one(void *arg) {
    (void)arg;
    sim_begin();
    memset(&toy, 0, sizeof toy);
    toy_shut = false;
    cth_thread *a = sim_spawn(toy_get_until_shut, NULL);
    cth_thread *b = sim_spawn(toy_get_until_shut, NULL);
    CTH_WITH(&toy.mutex) {
        toy_shut = true;
        CTH_SIM_CHECK(cth_cond_notify(&toy.changed, planted ? 1 : 9) == CTH_OK);
    }
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}

static void passing(void) {
    SIM_PASS(hand_over_1, SIM_WAITS, 2500);
    SIM_PASS(hand_over_unbounded, SIM_ALL, 2500);
    SIM_PASS(grows, SIM_ALL, 2000);
    SIM_PASS(timeouts, SIM_WAITS, 2500);
    SIM_PASS(cancelled, SIM_WAITS, 2500);
    SIM_PASS(wakes_are_not_eaten, SIM_WAITS, 4000);
    SIM_PASS(data_goes_along, SIM_WAITS, 2000);
    SIM_PASS(joins, SIM_WAITS, 2500);
    SIM_PASS(shutdown_meets_all, SIM_WAITS, 2500);
    SIM_PASS(shutdown_meets_all, SIM_ALL, 1000);
}

static void passing_freed(void) {
    SIM_PASS(freed_at_once, SIM_WAITS, 2500);
    SIM_PASS(freed_after_put, SIM_WAITS, 2500);
    SIM_PASS(freed_after_join, SIM_WAITS, 2500);
    SIM_PASS(freed_after_shutdown, SIM_WAITS, 2500);
}

static void histories(void) {
    SIM_PASS(linearizable, SIM_WAITS, IF_FIBERS(50000));
}

static void complete(void) {
    SIM_COMPLETE(pair, 0);
    SIM_COMPLETE(full_pair, 0);
    SIM_COMPLETE(freed_at_once, 0);
    SIM_COMPLETE(searched_timeout, CTH_SIM_TIMEOUTS);
    SIM_COMPLETE(searched_shutdown, 0);
    SIM_COMPLETE(searched_join, 0);
}

static void found(void) {
    SIM_FOUND(one_condition_for_two, 0, "deadlock");
    SIM_FOUND(timeout_eats_the_wake, CTH_SIM_TIMEOUTS, "deadlock");
    SIM_FOUND(flag_without_a_look, 0, "deadlock");
    SIM_FOUND(shutdown_wakes_one, 0, "deadlock");
    SIM_FOUND(linearizable, SIM_WAITS, "check");
}

static const test_case tests[] = {TEST(passing), TEST(passing_freed), TEST(histories),
                                  TEST(complete), TEST(found)};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
