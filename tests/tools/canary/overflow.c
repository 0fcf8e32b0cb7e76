/* A signed number overflows: UBSan must end the program. */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"

#include <limits.h>

int main(void) {
    volatile int number = INT_MAX;
    number = number + 1;
    return number == 0;
}
