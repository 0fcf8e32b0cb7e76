/* waiters.pml - the table of waiters: sleep, wake, deadline, token, and the system's sleep below

   A thread waits twice under the same key, another one once; with or without a deadline that may
   pass at any moment, with or without a token that somebody cancels. Either a deadline or token
   just ends a wait, and a waker wakes one thread at a time. Or waits are to settle: the waker takes
   all records out, unlocks the bucket, and claims them later, as a barrier with an action does.
   There are runs without a waker, where each wait has a deadline or a token.

   Checked: of a wake-up, a deadline and a token exactly one ends a wait, and that one is what the
   thread returns; with settle no claim by the waker fails; nobody sleeps in the system for ever
   (an invalid end state); a record is neither queued nor touched after its wait has returned.

   Planted bugs:
     1  a thread goes to sleep by a store, where a compare-and-swap could fail
     2  a deadline ends a wait without taking its record out
     3  a waker that wins the claim of a sleeping thread does not wake it
     4  a waker reads the claim, and wins it by a store
     5  with settle, a deadline ends the wait though a waker has taken the record out
     6  a waker takes a claim that is POKED for one that has ended otherwise
     7  a thread queues itself under a token without a look at its state

   A load and the compare-and-swap that loops until it succeeds are one step: a failed one has no
   effect. What only the holder of a bucket's lock can see joins the step next to it, and a part
   under the bucket lock with one access to a shared word is one step as a whole. The private locks
   are just locks. The model leaves out spinning, a token's own deadline (another name for one), and
   waits for more than one key beside the token's.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#ifndef BUG
#define BUG 0
#endif
#define N 2

#define OPEN      1
#define ASLEEP    2
#define POKED     3
#define TIMEDOUT  4
#define EXPIRED   5
#define WON       8
#define CANCELLED 9 /* WON, with the index of the token's record */

bool bucket; /* the lock of the key's bucket is held */
chan queue = [N] of { byte };
chan taken = [N] of { byte }; /* the records that the waker has taken out */

bool state; /* of the token: it is cancelled */
bool token_bucket;
chan token_queue = [N] of { byte };

byte claim[N + 1];
bool in_system[N + 1]; /* sleeps there, until it is woken or the word was another */

bool settle;
bool waking; /* somebody wakes, so that nobody needs another end */
bool alive[N + 1];       /* its record of the key exists */
bool token_alive[N + 1]; /* ... and the one of the token */
bool given[N + 1];       /* a waker has won its claim */
byte ended;

/* cth__claim of a record just taken from its queue; within one step. */
inline claim_it(how) {
    ok = (claim[w] == OPEN || claim[w] == ASLEEP ||
          (claim[w] == POKED && how != POKED && BUG != 6));
    wakes[w] = wakes[w] || (ok && claim[w] == ASLEEP && BUG != 3);
    claim[w] = (ok -> how : claim[w])
}

/* cth__wake_all, after the bucket has been unlocked. */
inline wake_all() {
    do
    :: atomic { wakes[1] -> in_system[1] = false; wakes[1] = false }
    :: atomic { !wakes[1] && wakes[2] -> in_system[2] = false; wakes[2] = false }
    :: atomic { !wakes[1] && !wakes[2] -> w = 0; break }
    od
}

inline remove(lock, from, exists) {
    atomic {
        !lock;
        if
        :: from ?? [eval(id)] -> from ?? eval(id)
        :: else
        fi;
        exists = false
    }
}

/* cth__park, with one record; `found` is how it ended. */
inline park() {
    if
    :: token ->
        atomic {
            !token_bucket;
            if
            :: !state || BUG == 7 ->
                token_queue ! id;
                token_alive[id] = true;
                under_token = true
            :: else
            fi
        }
        if
        :: atomic { !under_token && claim[id] == OPEN ->
               claim[id] = (settle -> POKED : EXPIRED) }
        :: atomic { under_token || claim[id] != OPEN }
        fi
    :: else
    fi;
#if BUG == 1
    if
    :: claim[id] == OPEN -> claim[id] = ASLEEP
    :: else
    fi;
#else
    atomic { claim[id] = (claim[id] == OPEN -> ASLEEP : claim[id]) }
#endif
    do
    :: atomic { claim[id] > POKED -> found = claim[id]; break }
    :: atomic { claim[id] == ASLEEP && !passed -> in_system[id] = true }
       if
       :: !in_system[id]
       :: atomic { timed -> passed = true; in_system[id] = false }
       fi
    :: atomic { !settle && passed && claim[id] == ASLEEP ->
           claim[id] = TIMEDOUT; found = TIMEDOUT; break }
    :: atomic { settle && (claim[id] == POKED || passed) && claim[id] <= POKED ->
           poked = (claim[id] == POKED) }
       if
       :: under_token -> remove(token_bucket, token_queue, token_alive[id]); under_token = false
       :: else
       fi;
       atomic {
           !bucket -> bucket = true;
           if
#if BUG == 5
           :: (queue ?? [eval(id)]) || passed ->
               if
               :: queue ?? [eval(id)] -> queue ?? eval(id)
               :: else
               fi;
#else
           :: queue ?? [eval(id)] ->
               queue ?? eval(id);
#endif
               alive[id] = false;
               claim[id] = TIMEDOUT
           :: else
           fi;
           bucket = false; /* the real caller unlocks it */
           timed = false;
           passed = false
       }
       atomic {
           claim[id] = (poked && claim[id] == POKED -> ASLEEP : claim[id]);
           poked = false
       }
    od;
    passed = false;
#if BUG == 2
    alive[id] = false;
#else
    if
    :: found != WON && alive[id] -> remove(bucket, queue, alive[id])
    :: else -> alive[id] = false
    fi;
#endif
    if
    :: under_token && found != CANCELLED -> remove(token_bucket, token_queue, token_alive[id])
    :: else -> token_alive[id] = false
    fi;
    under_token = false
}

proctype waiter(byte id; byte rounds) {
    bool timed, token;
    bool passed, poked, under_token;
    byte found;

    do
    :: rounds == 0 -> break
    :: else ->
        atomic {
            rounds--;
            if
            :: timed = false
            :: timed = true
            fi;
            if
            :: waking || timed -> token = false
            :: id == 1 || !(waking || timed) -> token = true
            fi;
            !bucket; /* queues under the bucket lock */
            claim[id] = OPEN;
            given[id] = false;
            alive[id] = true;
            queue ! id
        }
        park();
        atomic {
            assert(!(queue ?? [eval(id)]) && !(token_queue ?? [eval(id)]));
            assert(given[id] == (found == WON));
            claim[id] = 0;
            given[id] = false;
            found = 0
        }
    od;
    ended++
}

/* Until all have ended it wakes one thread, or with settle all that wait now. */
proctype waker() {
    byte w, n;
    bool ok;
    bool wakes[N + 1];

    do
    :: ended == N -> break
    :: atomic { len(queue) > 0 && !bucket -> bucket = true }
       if
       :: settle ->
           atomic {
               do
               :: len(queue) > 0 -> queue ? w; assert(alive[w]); taken ! w
               :: len(queue) == 0 -> break
               od;
               bucket = false
           }
           atomic { !bucket -> bucket = true }
           do
           :: atomic { len(taken) > 0 ->
                  taken ? w; assert(alive[w]); claim_it(WON); given[w] = ok; assert(ok) }
           :: atomic { len(taken) == 0 -> break }
           od
       :: else ->
           do
           :: atomic { !ok && len(queue) > 0 ->
                  queue ? w; assert(alive[w]);
#if BUG == 4
                  ok = (claim[w] == OPEN || claim[w] == ASLEEP) }
              atomic { wakes[w] = ok && claim[w] == ASLEEP; claim[w] = (ok -> WON : claim[w]);
                  given[w] = ok }
#else
                  claim_it(WON); given[w] = ok }
#endif
           :: atomic { ok || len(queue) == 0 -> break }
           od
       fi;
       atomic { bucket = false; ok = false }
       wake_all()
    od
}

proctype canceller() {
    byte w;
    bool ok;
    bool wakes[N + 1];

    /* cth__cancel_mark */
    atomic { !token_bucket -> token_bucket = true; state = true }
    do
    :: atomic { len(token_queue) > 0 ->
           token_queue ? w; assert(token_alive[w]);
           if
           :: settle -> claim_it(POKED)
           :: else -> claim_it(CANCELLED)
           fi }
    :: atomic { len(token_queue) == 0 -> break }
    od;
    atomic { token_bucket = false; ok = false }
    wake_all()
}

init {
    atomic {
        if
        :: settle = true
        :: settle = false
        fi;
        if
        :: waking = false
        :: waking = true; run waker()
        fi;
        run waiter(1, 2);
        run waiter(2, 1);
        run canceller()
    }
    atomic { _nr_pr == 1 -> assert(len(queue) == 0 && len(token_queue) == 0) }
}
