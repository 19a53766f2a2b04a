/* A pool of threads that run the steps of a network together: every step in as many parts as there are threads, a
 * barrier between two steps. Which thread runs which part changes no sum, so the answers do not depend on their number. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

typedef void step_function(int step, int part, int parts, const void *weights, const uint8_t *pixels, float *output,
                           void *arena);

typedef struct pool {
    step_function *run;
    int steps, threads;
    pid_t process; /* that has the threads: one forked from it has none of them */
    atomic_int arrived, turn; /* of the barrier */
    atomic_int job;           /* counts runs; negative: the end */
    const void *weights;
    const uint8_t *pixels;
    float *output;
    void *arena;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t *ids;
} pool;

typedef struct worker {
    pool *owner;
    int part;
} worker;

enum { SPINS = 20000 }; /* some 50 microseconds: as long as a step takes at most */

static void pause_once(int spins) {
    if (spins > SPINS) sched_yield(); /* another process may have this core */
#if defined(__x86_64__) || defined(__i386__)
    else __builtin_ia32_pause();
#endif
}

static void meet(pool *p) {
    const int turn = atomic_load_explicit(&p->turn, memory_order_acquire);
    if (atomic_fetch_add(&p->arrived, 1) + 1 == p->threads) {
        atomic_store(&p->arrived, 0);
        atomic_store_explicit(&p->turn, turn + 1, memory_order_release);
        return;
    }
    for (int spins = 0; atomic_load_explicit(&p->turn, memory_order_acquire) == turn; spins++) pause_once(spins);
}

static void work(pool *p, int part, int parts) {
    for (int step = 0; step < p->steps; step++) {
        p->run(step, part, parts, p->weights, p->pixels, p->output, p->arena);
        if (parts > 1) meet(p);
    }
}

static int next_job(pool *p, int done) {
    for (int spins = 0; spins < SPINS; spins++) {
        const int job = atomic_load_explicit(&p->job, memory_order_acquire);
        if (job != done) return job;
        pause_once(0);
    }
    pthread_mutex_lock(&p->mutex);
    while (atomic_load(&p->job) == done) pthread_cond_wait(&p->wake, &p->mutex);
    const int job = atomic_load(&p->job);
    pthread_mutex_unlock(&p->mutex);
    return job;
}

static void *serve(void *argument) {
    const worker w = *(worker *)argument;
    free(argument);
    for (int job = next_job(w.owner, 0); job > 0; job = next_job(w.owner, job)) work(w.owner, w.part, w.owner->threads);
    return NULL;
}

static void announce(pool *p, int job) {
    pthread_mutex_lock(&p->mutex);
    atomic_store_explicit(&p->job, job, memory_order_release);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->mutex);
}

void mobilenets_pool_end(pool *p) {
    if (!p) return;
    if (p->process == getpid()) {
        announce(p, -1);
        for (int i = 1; i < p->threads; i++) pthread_join(p->ids[i], NULL);
        pthread_cond_destroy(&p->wake);
        pthread_mutex_destroy(&p->mutex);
    }
    free(p->ids);
    free(p);
}

/* NULL where there is no memory or no thread to be had. */
pool *mobilenets_pool_begin(step_function *run, int steps, int threads) {
    pool *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->run = run;
    p->steps = steps;
    p->threads = 1;
    p->process = getpid();
    p->ids = calloc((size_t)threads, sizeof *p->ids);
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->wake, NULL);
    for (int part = 1; p->ids && part < threads; part++) {
        worker *w = malloc(sizeof *w);
        if (w) *w = (worker){p, part};
        if (!w || pthread_create(&p->ids[part], NULL, serve, w)) {
            free(w);
            mobilenets_pool_end(p);
            return NULL;
        }
        p->threads++;
    }
    return p;
}

/* One image; one caller at a time. */
void mobilenets_pool_run(pool *p, const void *weights, const uint8_t *pixels, float *output, void *arena) {
    p->weights = weights;
    p->pixels = pixels;
    p->output = output;
    p->arena = arena;
    const int parts = p->process == getpid() ? p->threads : 1;
    if (parts > 1) {
        const int job = atomic_load(&p->job);
        announce(p, job < INT32_MAX ? job + 1 : 1);
    }
    work(p, 0, parts);
}
