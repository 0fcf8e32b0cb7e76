/* kit.c - the implementation of cthreads.h. It stands in a file of its own, as in most programs, so
   that what is measured is the inline fast paths and calls into another object file. */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
