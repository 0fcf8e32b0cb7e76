/* The implementation for all programs that do not compile their own; see programs.cmake. */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"

#ifdef CTHREADS_SIM
/* For tests/sim.h. */
extern const bool sim_fibers;
const bool sim_fibers = CTH__FIBERS;
#endif
