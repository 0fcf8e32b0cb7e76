/* openmp_sort.cpp - the sort of OpenMP: that of libstdc++'s parallel mode. See openmp_peers.h. */
#include <cstddef>
#include <parallel/algorithm>

extern "C" void openmp_sort(int *items, std::size_t n, int workers);
extern "C" void openmp_sort(int *items, std::size_t n, int workers) {
    __gnu_parallel::sort(
        items, items + n,
        __gnu_parallel::default_parallel_tag(static_cast<__gnu_parallel::_ThreadIndex>(workers)));
}
