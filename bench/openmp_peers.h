/* openmp_peers.h - OpenMP of gcc (libgomp) and of clang (libomp) as peers of bench_executor and
   bench_parallel.

   The two cannot be linked into one program, as they share names. So openmp_peers.c is compiled by
   both compilers into a library each, which is loaded at run time; it exports its peers as data.
   BENCH_OPENMP_GCC and BENCH_OPENMP_CLANG are the files, or "". */
#ifndef BENCH_OPENMP_PEERS_INCLUDED
#define BENCH_OPENMP_PEERS_INCLUDED
#include "bench.h"

#include <dlfcn.h>
#include <string.h>

/* Copy the peer of this name out of the library. */
static inline bool openmp_peer(const char *file, const char *name, void *peer, size_t size) {
    void *library = *file != '\0' ? dlopen(file, RTLD_NOW | RTLD_LOCAL) : NULL;
    void *found = library != NULL ? dlsym(library, name) : NULL;
    if (found != NULL) {
        memcpy(peer, found, size);
    }
    return found != NULL;
}

#endif
