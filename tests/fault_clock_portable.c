/* fault_clock_portable.c - fault_clock.c on the portable park, whatever the build. */
#ifndef CTHREADS_PORTABLE_PARK
#  define CTHREADS_PORTABLE_PARK
#endif
#include "fault_clock.c"
