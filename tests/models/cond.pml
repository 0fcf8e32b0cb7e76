/* cond.pml - the condition: wait with a deadline and a token, notify with and without the mutex

   Two consumers wait until there is an item; each for ever or until a deadline that may pass at any
   moment, and without a token or with one that another thread cancels. A producer makes an item for
   each that has not given up, and notifies: once for each item or once for all, holding the mutex
   or not. A consumer whose wait ends by its deadline or token leaves without a look at the items,
   so that a notify must not have chosen it.

   Checked: no consumer sleeps for ever with an item there (an invalid end state); a wait that a
   notify chose returns OK and no other does; the mutex is held on return; no record stays queued,
   for the condition or for the token; a condition that the last woken waiter has freed is not
   touched.

   Planted bugs:
     1  a deadline ends the wait by a store, where a compare-and-swap could fail
     2  a waiter queues its record after it has released the mutex
     3  notify counts a waiter that has given up as woken
     4  notify clears the word though more records are queued
     5  a cancelled waiter leaves its record queued
     6  notify clears the word after its last claim

   A load and the compare-and-swap that loops until it succeeds are one step: a failed one has no
   effect. What only the holder of a bucket's lock can see joins the step next to it, and a part
   under the bucket lock with one access to a shared word is one step as a whole. The mutex is just
   that: mutex.pml has its inside. The model leaves out spinning, OPEN (like ASLEEP for all others),
   the check for another mutex, and the system's sleep, which is in waiters.pml.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#ifndef BUG
#define BUG 0
#endif
#define N        2
#define PRODUCER 3

#define ASLEEP    2
#define TIMEDOUT  4
#define EXPIRED   5
#define WON       8
#define CANCELLED 9 /* WON, with the index of the token's record */

byte mutex; /* who holds it, or 0 */

bit word;
bool bucket; /* the lock of the condition's bucket is held */
chan queue = [N] of { byte };

bool state; /* of the token: it is cancelled */
bool token_bucket;
chan token_queue = [N] of { byte };

byte claim[N + 1];

byte items;
byte left; /* consumers that have returned */
byte gave_up; /* and among them, by a deadline or the token */
bool last_notify;
bool chosen[N + 1];
bool chosen_last[N + 1];
bool freed;

#define USE assert(!freed)

/* cth__claim of the oldest record; within one step. */
inline claim_first(from, how) {
    from ? w;
    ok = (claim[w] == ASLEEP);
    claim[w] = (ok -> how : claim[w])
}

inline enqueue() {
    atomic {
        !bucket; /* queues and sets the word under the bucket lock */
        USE;
        claim[id] = ASLEEP;
        chosen[id] = false;
        chosen_last[id] = false;
        queue ! id;
        word = 1
    }
}

inline remove(lock, from) {
    atomic {
        !lock;
        if
        :: from ?? [eval(id)] -> from ?? eval(id)
        :: else
        fi
    }
}

inline wait() {
#if BUG == 2
    atomic { assert(mutex == id); mutex = 0 }
    enqueue();
#else
    enqueue();
    atomic { assert(mutex == id); mutex = 0 }
#endif
    /* cth__park */
    if
    :: token ->
        atomic {
            !token_bucket; /* queues under the token, unless it is cancelled */
            if
            :: !state -> token_queue ! id
            :: else -> token = false; ended = true
            fi
        }
        if
        :: atomic { ended -> claim[id] = (claim[id] == ASLEEP -> EXPIRED : claim[id]) }
        :: else
        fi
    :: else
    fi;
    if
    :: claim[id] != ASLEEP
#if BUG == 1
    :: timed && claim[id] == ASLEEP -> claim[id] = TIMEDOUT
#else
    :: atomic { timed && claim[id] == ASLEEP -> claim[id] = TIMEDOUT }
#endif
    fi;
    if
#if BUG != 5
    :: claim[id] != WON -> remove(bucket, queue)
#endif
    :: else
    fi;
    if
    :: token && claim[id] != CANCELLED -> remove(token_bucket, token_queue)
    :: else
    fi;
    atomic {
        assert(!(queue ?? [eval(id)]) && !(token_queue ?? [eval(id)]));
        assert(chosen[id] == (claim[id] == WON))
    }
    atomic { mutex == 0 -> mutex = id }
}

proctype consumer(byte id; bool timed; bool token) {
    bool ended;

    atomic { mutex == 0 -> mutex = id }
    do
    :: items > 0 -> items--; break
    :: else ->
        wait();
        if
        :: claim[id] != WON -> gave_up++; break
        :: else
        fi
    od;
    atomic {
        assert(mutex == id);
        mutex = 0;
        left++;
        /* No notify is to come, and all others have returned: the condition may be freed. */
        freed = (left == N && chosen_last[id]);
        claim[id] = 0; /* what nobody reads any more is cleared: there are fewer states */
        chosen[id] = false;
        chosen_last[id] = false
    }
}

inline notify(n) {
    if
    :: atomic { word == 0 -> USE }
    :: atomic { word != 0 -> USE }
       atomic { !bucket -> bucket = true; woken = 0 }
#if BUG == 4
       atomic { USE; word = 0 }
#elif BUG != 6
       if
       :: atomic { len(queue) <= n -> USE; word = 0 }
       :: len(queue) > n
       fi;
#endif
       do
       :: atomic { woken < n && len(queue) > 0 ->
              claim_first(queue, WON);
              chosen[w] = ok;
              chosen_last[w] = ok && last_notify;
#if BUG == 3
              woken++
#else
              woken = woken + ok
#endif
          }
       :: atomic { woken >= n || len(queue) == 0 -> break }
       od;
#if BUG == 6
       if
       :: atomic { len(queue) == 0 -> USE; word = 0 }
       :: len(queue) > 0
       fi;
#endif
       bucket = false
    fi
}

proctype producer(bool all; bool inside) {
    byte made, woken, w;
    bool ok;

    do
    :: made + gave_up >= N -> break
    :: else ->
        atomic { mutex == 0 -> mutex = PRODUCER }
        atomic {
            made = (all -> N : made + 1);
            items = items + (all -> N : 1);
            last_notify = (made == N);
            mutex = (inside -> mutex : 0)
        }
        if
        :: all -> notify(N)
        :: else -> notify(1)
        fi;
        if
        :: inside -> mutex = 0
        :: else
        fi
    od
}

proctype canceller() {
    byte w;
    bool ok;

    /* cth__cancel_mark */
    atomic { !token_bucket -> token_bucket = true; state = true }
    do
    :: atomic { len(token_queue) > 0 -> claim_first(token_queue, CANCELLED) }
    :: atomic { len(token_queue) == 0 -> token_bucket = false; break }
    od
}

init {
    byte id = 1;
    byte kind;
    bool inside;
    atomic {
        do /* consumers are alike, so an order of their kinds leaves nothing out */
        :: id <= N -> run consumer(id, kind & 1, kind >> 1); id++
        :: id <= N && kind < 3 -> kind++
        :: id > N -> break
        od;
        if
        :: kind >= 2 -> run canceller()
        :: else
        fi;
        if
        :: inside = false
        :: inside = true
        fi;
        if
        :: run producer(false, inside)
        :: run producer(true, inside)
        fi;
        inside = false;
        kind = 0;
        id = 0
    }
    atomic { _nr_pr == 1 -> assert(len(queue) == 0 && len(token_queue) == 0 && mutex == 0) }
}
