/* What unit_a.c and unit_b.c share: two files of one program that use the same objects. */
#ifndef UNIT_H_INCLUDED
#define UNIT_H_INCLUDED

#include "cthreads.h"

extern cth_mutex unit_lock;
extern cth_sem unit_done;
extern int unit_total;

cth_status unit_work(void *arg);

#endif /* UNIT_H_INCLUDED */
