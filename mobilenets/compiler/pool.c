/* A pool of threads that run the steps of a network together: every step in as many parts as there are threads. A thread
 * runs the part of its own number, whose input it mostly wrote itself, and then those that their own threads have not
 * begun: one whose core another process holds keeps nobody waiting but for the part in its hands. Which thread runs
 * which part changes no sum, so the answers do not depend on their number. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void step_function(int step, int part, int parts, const void *weights, const uint8_t *pixels, float *output,
                           void *arena);
typedef void run_function(const void *weights, const uint8_t *pixels, float *output, void *arena);

enum {
    LINE = 128,   /* bytes that two cores should not write at once */
    SPINS = 2000, /* some 50 microseconds: most waits are shorter, and to wake a sleeper takes as long */
};

/* All counts grow over all steps of all images and are never set back: nobody can come too late to read them. */
typedef struct begun {
    _Alignas(LINE) _Atomic uint64_t steps; /* whose part of this number somebody has begun */
} begun;

typedef struct pool {
    step_function *run;
    int steps, threads;
    pid_t process; /* that has the threads: one forked from it has none of them */
    const void *weights;
    const uint8_t *pixels;
    float *output;
    void *arena;
    pthread_t *ids;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    atomic_int sleepers, ended;
    _Alignas(LINE) _Atomic uint64_t wanted; /* steps */
    _Alignas(LINE) _Atomic uint64_t done;   /* parts */
    begun parts[];
} pool;

typedef struct worker {
    pool *owner;
    int thread;
} worker;

static void spin(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The value of `count` once it is not `seen`. Whoever waits long sleeps: then the system can give this core to the thread
 * that is waited for, where another process holds that one's. */
static uint64_t changed(pool *p, const _Atomic uint64_t *count, uint64_t seen) {
    uint64_t now = atomic_load(count);
    for (int spins = 0; now == seen && spins < SPINS; spins++) {
        spin();
        now = atomic_load(count);
    }
    if (now != seen) return now;
    pthread_mutex_lock(&p->mutex);
    atomic_fetch_add(&p->sleepers, 1);
    while ((now = atomic_load(count)) == seen) pthread_cond_wait(&p->wake, &p->mutex);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->mutex);
    return now;
}

/* Adds to a count that others may wait for. */
static void add(pool *p, _Atomic uint64_t *count, int more) {
    atomic_fetch_add(count, (uint64_t)more);
    if (!atomic_load(&p->sleepers)) return; /* who falls asleep from here on looks at the count once more */
    pthread_mutex_lock(&p->mutex);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->mutex);
}

/* A part of step `at` that nobody had begun, the thread's own first; negative where there is none. */
static int take(pool *p, int thread, uint64_t at) {
    for (int i = 0; i < p->threads; i++) {
        const int part = (thread + i) % p->threads;
        _Atomic uint64_t *steps = &p->parts[part].steps;
        uint64_t seen = atomic_load(steps);
        if (seen == at && atomic_compare_exchange_strong(steps, &seen, at + 1)) return part;
    }
    return -1;
}

/* Takes part in every step before step `until`, and returns when all of them are done. */
static void work(pool *p, int thread, uint64_t until) {
    const uint64_t threads = (uint64_t)p->threads, steps = (uint64_t)p->steps;
    uint64_t done = atomic_load(&p->done);
    for (uint64_t at; (at = done / threads) < until;) {
        int ran = 0;
        for (int part; (part = take(p, thread, at)) >= 0; ran++)
            p->run((int)(at % steps), part, p->threads, p->weights, p->pixels, p->output, p->arena);
        if (ran) add(p, &p->done, ran);
        done = atomic_load(&p->done);
        if (done / threads == at) done = changed(p, &p->done, done);
    }
}

static void *serve(void *argument) {
    const worker w = *(worker *)argument;
    pool *p = w.owner;
    free(argument);
    uint64_t wanted = changed(p, &p->wanted, 0);
    for (; !atomic_load(&p->ended); wanted = changed(p, &p->wanted, wanted)) work(p, w.thread, wanted);
    return NULL;
}

void mobilenets_pool_end(pool *p) {
    if (!p) return;
    if (p->process == getpid()) {
        atomic_store(&p->ended, 1);
        add(p, &p->wanted, 1);
        for (int i = 1; i < p->threads; i++) pthread_join(p->ids[i], NULL);
        pthread_cond_destroy(&p->wake);
        pthread_mutex_destroy(&p->mutex);
    }
    free(p->ids);
    free(p);
}

/* NULL where there is no memory or no thread to be had. */
pool *mobilenets_pool_begin(step_function *run, int steps, int threads) {
    void *memory = NULL;
    const size_t size = sizeof(pool) + (size_t)threads * sizeof(begun);
    if (posix_memalign(&memory, LINE, size)) return NULL;
    pool *p = memset(memory, 0, size);
    p->run = run;
    p->steps = steps;
    p->threads = 1;
    p->process = getpid();
    p->ids = calloc((size_t)threads, sizeof *p->ids);
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->wake, NULL);
    for (int thread = 1; p->ids && thread < threads; thread++) {
        worker *w = malloc(sizeof *w);
        if (w) *w = (worker){p, thread};
        if (!w || pthread_create(&p->ids[thread], NULL, serve, w)) {
            free(w);
            break;
        }
        p->threads++;
    }
    if (p->ids && p->threads == threads) return p;
    mobilenets_pool_end(p);
    return NULL;
}

/* One image; one caller at a time. */
void mobilenets_pool_run(pool *p, const void *weights, const uint8_t *pixels, float *output, void *arena) {
    if (p->process != getpid()) {
        for (int step = 0; step < p->steps; step++) p->run(step, 0, 1, weights, pixels, output, arena);
        return;
    }
    p->weights = weights;
    p->pixels = pixels;
    p->output = output;
    p->arena = arena;
    add(p, &p->wanted, p->steps);
    work(p, 0, atomic_load(&p->wanted));
}

/* Several images, of `bytes`, to `floats` each: all threads that call this with the same `next` share them. No pool. */
void mobilenets_pool_images(run_function *run, atomic_int *next, int count, int bytes, int floats, const void *weights,
                            const uint8_t *pixels, float *output, void *arena) {
    for (int i; (i = atomic_fetch_add(next, 1)) < count;)
        run(weights, pixels + (size_t)i * (size_t)bytes, output + (size_t)i * (size_t)floats, arena);
}
