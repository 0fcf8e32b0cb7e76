/* mutex.pml - the mutex: its word, its sleepers, unlock by letting go and by handing over

   Three threads lock, or try to lock until a deadline that may pass at any moment, and unlock.

   Checked: at most one thread is inside, and the word names it; no thread sleeps for ever (an
   invalid end state); a thread that was handed the mutex has it, one that timed out has not; no
   record stays queued; nobody touches the mutex once the last thread to lock it may have freed it.

   Planted bugs:
     1  the fast unlock does not look at SLEEPERS
     2  a sleeper does not look at the word again under the bucket lock
     3  unlock claims the chosen waiter before it changes the word
     4  the slow path takes a free mutex without keeping SLEEPERS
     5  a deadline ends the wait by a store, where a compare-and-swap could fail
     6  unlock leaves the mutex to an heir that has given up

   A load and the compare-and-swap that loops until it succeeds are one step: a failed one has no
   effect. What only the holder of the bucket lock can see joins the step next to it, and a part
   under the bucket lock with one access to a shared word is one step as a whole. The model leaves
   out spinning (it only looks again), OPEN (like ASLEEP for all others), and the system's sleep,
   which is in waiters.pml. Whether a waiter starves is a free choice. A label has a skip where a
   jump from one atomic part into another would make one step of both.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#ifndef BUG
#define BUG 0
#endif
#define N     3
#define TOTAL 4 /* the first thread comes twice */

#define SLEEPERS 1
#define OWNER(x) ((x) & ~255)

#define ASLEEP   2
#define TIMEDOUT 4
#define WON      8
#define HANDED   16

short word;
bool bucket; /* the bucket's lock is held */
chan queue = [N] of { byte };
byte claim[N + 1];

byte inside;
byte through; /* locks that succeeded and locks given up */
byte ended;
bool freed;

#define USE assert(!freed)

#if BUG == 1
#define WORD_SEEN OWNER(word)
#else
#define WORD_SEEN word
#endif

/* cth__claim of the oldest record; within one step. */
inline claim_first(how) {
    queue ? w;
    ok = (claim[w] == ASLEEP);
    claim[w] = (ok -> WON | how : claim[w])
}

/* Leave the mutex free and claim waiters until one is woken. */
inline let_go() {
#if BUG != 3
    atomic { USE; word = (len(queue) > 1 -> SLEEPERS : 0) }
#endif
    do
    :: atomic { !ok && len(queue) > 0 -> claim_first(0) }
    :: atomic { ok || len(queue) == 0 -> break }
    od;
#if BUG == 3
    atomic { USE; word = (len(queue) > 0 -> SLEEPERS : 0) }
#endif
    ok = true
}

inline unlock_slow() {
    atomic { !bucket -> bucket = true; ok = false }
    do
    :: atomic { ok -> bucket = false; break }
    :: atomic { !ok && len(queue) > 0 -> /* the oldest is starving: it is the heir */
           queue ? <w>; USE; word = (w << 8) | (len(queue) > 1 -> SLEEPERS : 0) }
       atomic { claim_first(HANDED) }
#if BUG == 6
       ok = true
#endif
    :: !ok -> let_go() /* it is not, or there is none */
    od
}

active [N] proctype thread() {
    byte id = _pid + 1;
    byte w;
    bool ok;
    bool timed;
    bool last;
    byte rounds = (_pid == 0 -> 2 : 1);

    do
    :: rounds == 0 -> break
    :: else ->
        atomic { rounds--; last = false }
        if
        :: timed = false
        :: timed = true
        fi;
again:  skip;
        atomic {
            USE;
            if
            :: OWNER(word) == 0 ->
#if BUG == 4
                word = id << 8;
#else
                word = word | (id << 8);
#endif
                goto locked
            :: OWNER(word) != 0 && timed -> goto gave_up
            :: OWNER(word) != 0 -> assert(OWNER(word) != id << 8); word = word | SLEEPERS
            fi
        }
        atomic {
            !bucket; /* looks and queues under the bucket lock */
            USE;
#if BUG != 2
            if
            :: OWNER(word) == 0 || (word & SLEEPERS) == 0 -> goto again
            :: else
            fi;
#endif
            claim[id] = ASLEEP;
            queue ! id
        }
        /* cth__park */
        if
        :: atomic { claim[id] & WON ->
               if
               :: claim[id] & HANDED -> goto locked
               :: else -> goto again
               fi }
#if BUG == 5
        :: timed && claim[id] == ASLEEP -> claim[id] = TIMEDOUT
#else
        :: atomic { timed && claim[id] == ASLEEP -> claim[id] = TIMEDOUT }
#endif
        fi;
        atomic {
            !bucket; /* cth__remove */
            if
            :: queue ?? [eval(id)] -> queue ?? eval(id)
            :: else
            fi
        }
gave_up:
        atomic { assert(!(queue ?? [eval(id)])); through++; goto next }
locked: skip;
        atomic {
            USE;
            assert(!(queue ?? [eval(id)]));
            assert(inside == 0);
            assert(OWNER(word) == id << 8);
            inside++
        }
        atomic { inside--; through++; last = (through == TOTAL) }
        /* cth_mutex_unlock */
        if
        :: atomic { WORD_SEEN == id << 8 -> USE; word = 0 }
        :: atomic { WORD_SEEN != id << 8 -> USE; assert(OWNER(word) == id << 8) }
           unlock_slow()
        fi;
        /* Whoever knows that all others are through may free the mutex. */
        if
        :: last -> freed = true
        :: else
        fi;
next:
        skip
    od;
    atomic {
        ended++;
        if
        :: ended == N -> assert(OWNER(word) == 0 && len(queue) == 0 && !bucket)
        :: else
        fi
    }
}
