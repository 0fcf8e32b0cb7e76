/* locked_peers.h - the types of locked.h for pthreads, C11 and nsync. */
#ifndef BENCH_LOCKED_PEERS_INCLUDED
#define BENCH_LOCKED_PEERS_INCLUDED
#include "bench.h"

#include <pthread.h>
#include <threads.h>
#ifdef BENCH_HAVE_NSYNC
#  include <nsync.h>
#endif

#define LOCKED              posix
#define LOCKED_MUTEX        pthread_mutex_t
#define LOCKED_COND         pthread_cond_t
#define LOCKED_INIT(m, c)   (pthread_mutex_init((m), NULL), pthread_cond_init((c), NULL))
#define LOCKED_LOCK(m)      pthread_mutex_lock(m)
#define LOCKED_UNLOCK(m)    pthread_mutex_unlock(m)
#define LOCKED_WAIT(c, m)   pthread_cond_wait((c), (m))
#define LOCKED_SIGNAL(c)    pthread_cond_signal(c)
#define LOCKED_BROADCAST(c) pthread_cond_broadcast(c)
#include "locked.h"

#define LOCKED              c11
#define LOCKED_MUTEX        mtx_t
#define LOCKED_COND         cnd_t
#define LOCKED_INIT(m, c)   (mtx_init((m), mtx_plain), cnd_init(c))
#define LOCKED_LOCK(m)      mtx_lock(m)
#define LOCKED_UNLOCK(m)    mtx_unlock(m)
#define LOCKED_WAIT(c, m)   cnd_wait((c), (m))
#define LOCKED_SIGNAL(c)    cnd_signal(c)
#define LOCKED_BROADCAST(c) cnd_broadcast(c)
#include "locked.h"

#ifdef BENCH_HAVE_NSYNC
#  define LOCKED              nsync
#  define LOCKED_MUTEX        nsync_mu
#  define LOCKED_COND         nsync_cv
#  define LOCKED_INIT(m, c)   (nsync_mu_init(m), nsync_cv_init(c))
#  define LOCKED_LOCK(m)      nsync_mu_lock(m)
#  define LOCKED_UNLOCK(m)    nsync_mu_unlock(m)
#  define LOCKED_WAIT(c, m)   nsync_cv_wait((c), (m))
#  define LOCKED_SIGNAL(c)    nsync_cv_signal(c)
#  define LOCKED_BROADCAST(c) nsync_cv_broadcast(c)
#  include "locked.h"
#endif

#endif
