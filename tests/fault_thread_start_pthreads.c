/* fault_thread_start_pthreads.c - fault_thread_start.c on the pthread route, whatever the build. */
#ifndef CTHREADS_PTHREADS
#  define CTHREADS_PTHREADS
#endif
#include "fault_thread_start.c"
