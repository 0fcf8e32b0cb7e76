/* The two copies of layout.c: a table of sizes each. */
#ifndef LAYOUT_H_INCLUDED
#define LAYOUT_H_INCLUDED

#include "cthreads.h"

#ifdef __cplusplus
extern "C" {
#endif

const size_t *layout_c(size_t *count);
const size_t *layout_cxx(size_t *count);

#ifdef __cplusplus
}
#endif

#endif /* LAYOUT_H_INCLUDED */
