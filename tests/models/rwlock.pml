/* rwlock.pml - the rwlock: readers, writers, who is woken, who is handed the lock, who gives up

   Each of three threads reads, writes, or writes and then downgrades; with or without a deadline
   that may pass at any moment. In some runs two readers meet while they read: neither leaves before
   the other has come, and a third thread tries to write until its deadline.

   Checked: no writer with a reader or another writer; the word counts the readers inside; no
   thread sleeps for ever (an invalid end state); no record stays queued, the lock ends free; nobody
   touches the lock once the last thread, a writer, may have freed it.

   Planted bugs:
     1  the last reader leaves without a look at SLEEPERS
     2  a writer that gives up does not let the readers in that wait because of it
     3  a reader that was woken gets in without a look at the word
     4  holds handed to readers that have given up are not taken back
     5  the last reader passes the lock on without reading the word again under the bucket lock
     6  a thread that gives up clears SLEEPERS when nobody else is queued, outside the bucket lock
     7  a woken writer stores its number in the word, where it must compare and swap

   A load and the compare-and-swap that loops until it succeeds are one step: a failed one has no
   effect. What only the holder of the bucket lock can see joins the step next to it, and a part
   under the bucket lock with one access to a shared word is one step as a whole. The fast paths are
   the first turns of the slow ones. The model leaves out spinning (it only looks again), OPEN (like
   ASLEEP for all others), limits, and the system's sleep, which is in waiters.pml. Readers and
   writers queue apart, for only the order among equals matters. Whether a waiter starves is a
   free choice. A label has a skip where a jump from one atomic part into another would make one
   step of both.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#ifndef BUG
#define BUG 0
#endif
#define N 3

#define SLEEPERS   1
#define WRITING    2
#define READER     4
#define READERS(x) (((x) & WRITING) != 0 -> 0 : (x) >> 2)

#define ASLEEP   2
#define TIMEDOUT 4
#define WON      8
#define HANDED   16

#define READS      0
#define WRITES     1
#define DOWNGRADES 2

short word;
bool bucket; /* the bucket's lock is held */
chan readers = [N] of { byte };
chan writers = [N] of { byte };
byte claim[N + 1];

byte reading;
byte writing;
byte through; /* locks that succeeded and locks given up */
byte ended;
bool freed;
bool meeting; /* two readers wait for each other while they read */
byte met;

#define USE    assert(!freed)
#define QUEUED (len(readers) + len(writers))

/* cth__claim of the first record of a kind; within one step. */
inline claim_first(queue, how) {
    queue ? w;
    ok = (claim[w] == ASLEEP);
    claim[w] = (ok -> WON | how : claim[w])
}

/* cth__claim_readers: sets `won` and `lost`. */
inline claim_readers(how) {
    do
    :: atomic {
           len(readers) > 0 -> claim_first(readers, how);
           won = won + ok;
           lost = lost + !ok
       }
    :: len(readers) == 0 -> break
    od
}

/* cth__rwlock_pass, for a lock that is held alone, under the bucket lock. */
inline pass(writers_first) {
    atomic { held = true; done = false }
    do
    :: done -> break
    :: atomic { !done && held && len(writers) > 0 && (writers_first || len(readers) == 0) ->
           /* a writer is next and starving: it is the heir */
           writers ? <w>; USE;
           word = (w << 8) | WRITING | (QUEUED > 1 -> SLEEPERS : 0) }
       atomic { claim_first(writers, HANDED); done = ok }
    :: atomic { !done && held && len(readers) > 0 && (!writers_first || len(writers) == 0) ->
           /* cth__hand_to_readers */
           USE; word = len(readers) * READER | SLEEPERS; won = 0; lost = 0 }
       claim_readers(HANDED);
       atomic {
           if
           :: lost == 0 -> done = true
           :: else ->
#if BUG == 4
               done = true
#else
               USE;
               if
               :: READERS(word) == lost
               :: else -> word = word - lost * READER; done = true
               fi
#endif
           fi;
           won = 0; lost = 0
       }
    :: atomic { !done && held -> /* it is not starving, or there is none */
           USE; word = (QUEUED > 1 -> SLEEPERS : 0); held = false }
    :: atomic { !done && !held && QUEUED == 0 -> done = true }
    :: atomic { !done && !held && len(writers) > 0 && (writers_first || len(readers) == 0) ->
           claim_first(writers, 0); done = ok }
    :: atomic { !done && !held && len(readers) > 0 && (!writers_first || len(writers) == 0) ->
           won = 0; lost = 0 }
       claim_readers(0);
       atomic { done = (won != 0); won = 0; lost = 0 }
    od
}

/* cth__park; how it ended is in the claim. */
inline park(queue) {
    if
    :: claim[id] & WON
    :: atomic { timed && claim[id] == ASLEEP -> claim[id] = TIMEDOUT }
       atomic {
           !bucket; /* cth__remove */
           if
           :: queue ?? [eval(id)] -> queue ?? eval(id)
           :: else
           fi;
#if BUG == 6
           ok = (QUEUED == 0)
       }
       atomic { word = (ok -> word & ~SLEEPERS : word); ok = false
#endif
       }
    fi
}

proctype thread(byte id; byte kind; bool timed) {
    byte w, won, lost;
    bool ok, held, done;
    bool again; /* a reader: it has been woken; a writer: it has been queued */
    bool last;

    if
    :: kind == READS -> goto read_lock
    :: else -> goto write_lock
    fi;

read_lock:
    skip;
    atomic {
        USE;
        if
        :: (word & (SLEEPERS | WRITING)) == 0 -> word = word + READER; goto reads
        :: else
        fi
    }
    atomic {
        !bucket; /* the part under the bucket lock */
        USE;
        if
#if BUG == 3
        :: again || ((word & WRITING) == 0 && len(writers) == 0) ->
#else
        :: (word & WRITING) == 0 && (again || len(writers) == 0) ->
#endif
            word = word + READER; goto reads
        :: else -> word = word | SLEEPERS
        fi;
        if
        :: timed -> goto gave_up
        :: claim[id] = ASLEEP; readers ! id
        fi
    }
    park(readers);
    if
    :: atomic { claim[id] == TIMEDOUT -> goto gave_up }
    :: atomic { claim[id] == WON -> again = true; goto read_lock }
    :: atomic { claim[id] == (WON | HANDED) -> goto reads }
    fi;

write_lock:
    skip;
    atomic {
        USE;
        if
        :: (word & ~SLEEPERS) == 0 -> word = word | (id << 8) | WRITING; goto writes
        :: (word & ~SLEEPERS) != 0 && timed -> goto write_gave_up
        :: (word & ~SLEEPERS) != 0
        fi
    }
    atomic {
        again = true;
        !bucket; /* the part under the bucket lock */
        USE;
        if
        :: (word & ~SLEEPERS) == 0 -> goto write_lock
        :: else -> word = word | SLEEPERS; claim[id] = ASLEEP; writers ! id
        fi
    }
    park(writers);
    if
    :: atomic { claim[id] == TIMEDOUT -> goto write_gave_up }
#if BUG == 7
    :: atomic { claim[id] == WON -> word = (id << 8) | WRITING | (word & SLEEPERS); goto writes }
#else
    :: atomic { claim[id] == WON -> goto write_lock }
#endif
    :: atomic { claim[id] == (WON | HANDED) -> goto writes }
    fi;

write_gave_up:
    skip;
#if BUG != 2
    if
    :: again -> /* cth__let_readers_in */
        atomic { !bucket -> bucket = true }
        if
        :: len(writers) == 0 -> claim_readers(0)
        :: len(writers) > 0
        fi;
        atomic { bucket = false; won = 0; lost = 0 }
    :: else
    fi;
#endif
gave_up:
    skip;
    atomic {
        assert(!(readers ?? [eval(id)]) && !(writers ?? [eval(id)]));
        through++;
        goto ends
    }

writes:
    skip;
    atomic {
        USE;
        assert(!(readers ?? [eval(id)]) && !(writers ?? [eval(id)]));
        assert(reading == 0 && writing == 0);
        assert((word & ~SLEEPERS) == ((id << 8) | WRITING));
        writing++;
        through++;
        last = (through == N)
    }
    if
    :: atomic { kind == DOWNGRADES -> !bucket -> bucket = true; writing--; reading++ }
       /* cth_rwlock_downgrade */
       atomic { USE; word = READER | (QUEUED > 0 -> SLEEPERS : 0) }
       claim_readers(0);
       atomic { bucket = false; won = 0; lost = 0 }
       goto read_unlock
    :: else -> writing--
    fi;
    if
    :: atomic { word == ((id << 8) | WRITING) -> USE; word = 0 }
    :: atomic { word != ((id << 8) | WRITING) -> USE; !bucket -> bucket = true }
       pass(false);
       bucket = false
    fi;
    goto unlocked;

reads:
    skip;
    atomic {
        USE;
        assert(!(readers ?? [eval(id)]) && !(writers ?? [eval(id)]));
        assert(writing == 0);
        reading++;
        assert(READERS(word) >= reading);
        through++;
        met++
    }
    !meeting || met == 2;
read_unlock:
    reading--;
    atomic {
        USE;
        assert(READERS(word) != 0);
        if
#if BUG == 1
        :: true -> word = word - READER; goto unlocked
#else
        :: word != (READER | SLEEPERS) -> word = word - READER; goto unlocked
#endif
        :: else
        fi
    }
    atomic {
        !bucket -> bucket = true;
        USE;
        if
#if BUG == 5
        :: true
#else
        :: word != (READER | SLEEPERS) -> word = word - READER; bucket = false; goto unlocked
        :: else
#endif
        fi
    }
    pass(true);
    bucket = false;

unlocked:
    /* A writer that knows that all others are through may free the lock. */
    atomic {
        if
        :: last -> freed = true
        :: else
        fi
    }

ends:
    atomic {
        ended++;
        if
        :: ended == N -> assert((word & ~SLEEPERS) == 0 && QUEUED == 0 && !bucket)
        :: else
        fi
    }
}

init {
    byte id = 1;
    byte kind;
    atomic {
        if
        :: meeting = true;
           run thread(1, READS, false);
           run thread(2, READS, false);
           if
           :: run thread(3, WRITES, true)
           :: run thread(3, DOWNGRADES, true)
           fi
        :: do /* threads are alike, so an order of their kinds leaves nothing out */
           :: id <= N -> run thread(id, kind >> 1, kind & 1); id++
           :: id <= N && kind < 5 -> kind++
           :: id > N -> break
           od
        fi
    }
}
