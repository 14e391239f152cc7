/*
 * A clock that says the same in every run: it moves on by a microsecond whenever it is read.
 *
 * Loaded before the host's C library into qemu, whose emulated system calls read the time through these functions. A
 * runtime that works with the time of day, as onnxruntime does in every inference, otherwise takes a path that
 * depends on it.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>

#define PUBLIC __attribute__((visibility("default")))
#define START 1700000000

static int64_t read_clock(void)
{
    static int64_t microseconds;
    return __atomic_add_fetch(&microseconds, 1, __ATOMIC_RELAXED);
}

PUBLIC int clock_gettime(clockid_t clock, struct timespec *found)
{
    int64_t now = read_clock();
    (void)clock;
    found->tv_sec = START + now / 1000000;
    found->tv_nsec = now % 1000000 * 1000;
    return 0;
}

PUBLIC int gettimeofday(struct timeval *restrict found, void *restrict zone)
{
    int64_t now = read_clock();
    (void)zone;
    found->tv_sec = START + now / 1000000;
    found->tv_usec = now % 1000000;
    return 0;
}

PUBLIC time_t time(time_t *found)
{
    time_t now = START + read_clock() / 1000000;
    if (found)
        *found = now;
    return now;
}
