/* select.pml - one wait with two records: two wakers, a token and a deadline, one claim

   Thread 1 waits twice for two objects at once, with or without a deadline that may pass at any
   moment, with or without a token that somebody cancels. Thread 2 waits for object 1 alone, or for
   both, named in the other order. What comes to object 0 is handed over to a thread that waits, as
   at a rendezvous; what comes to object 1 is left there, and a thread is woken to take it, as in a
   channel with memory. If thread 2 waits for object 1 alone, thread 1 gives back what it took
   there.

   Checked: of the wakes, the deadline and the token exactly one ends a wait, and that is the one
   which the thread returns; nothing is lost or there twice; no thread sleeps while there is
   something for it, or waits for a lock for ever (invalid end states); a record is neither queued
   nor touched after its wait has returned.

   Planted bugs:
     1  a waker that has lost a claim does not go on to the next thread
     2  the records that did not win stay in their queues
     3  a waker reads the claim, and wins it by a store
     4  a deadline ends the wait by a store, where a compare-and-swap could fail
     5  no second look at the objects under their locks
     6  the locks are taken in the order of the cases
     7  a thread that is TAKEN is cancelled all the same
     8  a waker copies what it hands over after the claim

   A load and the compare-and-swap that loops until it succeeds are one step: a failed one has no
   effect. What only the holder of a bucket's lock can see joins the step next to it, and a part
   under the bucket lock with one access to a shared word is one step as a whole. The model leaves
   out spinning, watchers, OPEN (like ASLEEP for all others), the system's sleep, which is in
   waiters.pml, and the choice among several cases that are ready, which is free. A label has a skip
   where a jump from one atomic part into another would make one step of both.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#ifndef BUG
#define BUG 0
#endif
#define N 2

#define ASLEEP    1
#define TAKEN     2
#define TIMEDOUT  3
#define CANCELLED 4
#define WON       8 /* and the object; object 0 has handed over */

bool bucket[2]; /* the lock of an object's bucket is held */
chan queue[2] = [N] of { byte };
byte values[2]; /* what is there to be taken */
byte taken;     /* ... and has been */
byte put;

bool state; /* of the token: it is cancelled */
bool token_bucket;
chan token_queue = [1] of { byte };

byte claim[N + 1];
bool handed[N + 1];    /* something was copied to the thread */
bool alive[2 * N + 2]; /* the record of a thread and object exists */
byte given[N + 1];     /* how many wakers have won its claim */
bool alone;            /* thread 2 waits for object 1 only */

#define RECORD(id, o) alive[2 * (id) + (o)]

/* cth__win, of a record just taken from its queue; within one step. */
inline win(how) {
    ok = (claim[w] == ASLEEP);
    claim[w] = (ok -> how : claim[w])
}

/* One more comes to object 1: it is there, and one thread is woken. */
inline leave_one() {
    atomic { !bucket[1] -> bucket[1] = true; values[1]++; put++; ok = false }
    do
    :: atomic { !ok && len(queue[1]) > 0 ->
           queue[1] ? w; assert(RECORD(w, 1));
#if BUG == 3
           ok = (claim[w] == ASLEEP) }
       atomic { claim[w] = (ok -> WON + 1 : claim[w]); given[w] = given[w] + (ok -> 1 : 0) }
#else
           win(WON + 1); given[w] = given[w] + (ok -> 1 : 0) }
#endif
#if BUG == 1
       break
#endif
    :: atomic { ok || len(queue[1]) == 0 -> break }
    od;
    atomic { bucket[1] = false; ok = false; w = 0 }
}

/* One more comes to object 0: handed over to the first thread whose claim can be taken. */
inline hand_one() {
    atomic { !bucket[0] -> bucket[0] = true; put++; ok = false }
    do
    :: atomic { !ok && len(queue[0]) > 0 ->
           queue[0] ? w; assert(RECORD(w, 0));
#if BUG == 8
           win(WON);
#else
           win(TAKEN);
#endif
           given[w] = given[w] + (ok -> 1 : 0) }
    :: atomic { ok || len(queue[0]) == 0 -> break }
    od;
    if
    :: ok ->
        atomic { assert(RECORD(w, 0)); handed[w] = true }
#if BUG != 8
        claim[w] = WON /* cth__give: a store */
#endif
    :: else -> values[0]++
    fi;
    atomic { bucket[0] = false; ok = false; w = 0 }
}

inline remove(o) {
    atomic {
        !bucket[o];
        if
        :: queue[o] ?? [eval(id)] -> queue[o] ?? eval(id)
        :: else
        fi;
        RECORD(id, o) = false
    }
}

/* cth__park; `found` is how it ended. */
inline park() {
    if
    :: token ->
        atomic {
            !token_bucket;
            if
            :: !state -> token_queue ! id; under_token = true
            :: else -> claim[id] = (claim[id] == ASLEEP -> CANCELLED : claim[id])
            fi
        }
    :: else
    fi;
    if
    :: atomic { claim[id] > TAKEN -> found = claim[id] }
#if BUG == 4
    :: timed && claim[id] == ASLEEP -> claim[id] = TIMEDOUT; found = TIMEDOUT
#else
    :: atomic { timed && claim[id] == ASLEEP -> claim[id] = TIMEDOUT; found = TIMEDOUT }
#endif
    fi;
#if BUG == 2
    atomic { RECORD(id, 0) = false; RECORD(id, 1) = false }
#else
    if
    :: found != WON && both -> remove(0)
    :: else -> RECORD(id, 0) = false
    fi;
    if
    :: found != WON + 1 -> remove(1)
    :: else -> RECORD(id, 1) = false
    fi;
#endif
    if
    :: under_token ->
        atomic {
            !token_bucket;
            if
            :: token_queue ?? [eval(id)] -> token_queue ?? eval(id)
            :: else
            fi;
            under_token = false
        }
    :: else
    fi
}

proctype thread(byte id; bool both; bool backwards; byte rounds) {
    bool timed, token, under_token;
    byte found;
    byte w; /* of leave_one */
    bool ok;

    do
    :: rounds == 0 -> break
    :: else ->
        atomic {
            rounds--;
            if
            :: id == 1 -> timed = true
            :: timed = false
            fi;
            if
            :: id == 1 -> token = true
            :: token = false
            fi
        }
again:  skip;
        if
        :: atomic { both && values[0] > 0 -> values[0]--; taken++; goto next }
        :: atomic { values[1] > 0 -> values[1]--; taken++; goto took }
        :: atomic { !(both && values[0] > 0) && values[1] == 0 }
        fi;
        /* cth__cases_lock: in the order of the table */
        if
        :: both && (BUG != 6 || !backwards) -> atomic { !bucket[0] -> bucket[0] = true }
        :: else
        fi;
        atomic { !bucket[1] -> bucket[1] = true }
        if
        :: both && BUG == 6 && backwards -> atomic { !bucket[0] -> bucket[0] = true }
        :: else
        fi;
        atomic {
            if
            :: BUG != 5 && ((both && values[0] > 0) || values[1] > 0) ->
                bucket[0] = (both -> false : bucket[0]);
                bucket[1] = false;
                goto again
            :: BUG == 5 || !((both && values[0] > 0) || values[1] > 0)
            fi;
            claim[id] = ASLEEP;
            given[id] = 0;
            if
            :: both -> queue[0] ! id; RECORD(id, 0) = true; bucket[0] = false
            :: else
            fi;
            queue[1] ! id;
            RECORD(id, 1) = true;
            bucket[1] = false
        }
        park();
        atomic {
            assert(!(queue[0] ?? [eval(id)]) && !(queue[1] ?? [eval(id)]));
            assert(!(token_queue ?? [eval(id)]));
            assert(given[id] == (found >= WON));
            assert(handed[id] == (found == WON));
            claim[id] = 0;
            given[id] = 0;
            if
            :: found == WON -> handed[id] = false; taken++; found = 0; goto next
            :: found == WON + 1 && values[1] > 0 -> values[1]--; taken++; found = 0; goto took
            :: found == WON + 1 && values[1] == 0 -> found = 0; goto again
            :: found < WON -> found = 0; goto next
            fi
        }
took:   skip;
        if
        :: id == 1 && alone -> atomic { taken--; put-- } leave_one()
        :: else
        fi;
next:   skip
    od
}

proctype waker(byte o; byte n) {
    byte w;
    bool ok;

    do
    :: n == 0 -> break
    :: n > 0 && o == 0 -> hand_one(); n--
    :: n > 0 && o == 1 -> leave_one(); n--
    od
}

/* cth_cancel_request */
proctype canceller() {
    byte w;
    bool ok;

    atomic {
        !token_bucket;
        state = true;
        if
        :: len(token_queue) > 0 ->
            token_queue ? w;
#if BUG == 7
            claim[w] = (claim[w] <= TAKEN -> CANCELLED : claim[w])
#else
            win(CANCELLED)
#endif
        :: else
        fi
    }
}

init {
    atomic {
        if
        :: alone = true
        :: alone = false
        fi;
        run thread(1, true, false, 2);
        run thread(2, !alone, true, 1);
        run waker(0, 2);
        run waker(1, 1);
        run canceller()
    }
    atomic {
        _nr_pr == 1 ->
            assert(len(queue[0]) == 0 && len(queue[1]) == 0 && len(token_queue) == 0);
            assert(values[0] + values[1] + taken == put && put == 3)
    }
}
