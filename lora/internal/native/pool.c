// Threads that share the chunks of one job at a time. Workers spin for some
// tens of microseconds after a job, because the next one of a training step
// follows at once, and then sleep on a condition variable.
#define _GNU_SOURCE
#include "kernels.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SPINS = 2000 };

typedef struct {
    void * data;
    size_t size;
} buffer;

struct ck_pool {
    const ck_ops *  ops;
    int             level;
    int             threads; // workers and the caller
    int             started; // workers
    pthread_t *     worker;
    pthread_mutex_t lock;
    pthread_cond_t  wake, done;
    atomic_uint     job;    // counts jobs; guarded by lock for writing
    atomic_int      active; // workers inside the job; guarded by lock for writing
    bool            open;   // workers may still join the job
    bool            quit;
    bool            dry; // counts scratch only
    ck_chunk_fn     fn;
    void *          arg;
    int             chunks;
    atomic_int      next;
    buffer *        scratch; // one for each thread, and one that all share
};

typedef struct {
    ck_pool * p;
    int       thread;
} seat;

static inline void relax(void) {
#ifdef CK_X86
    __builtin_ia32_pause();
#endif
}

static void work(ck_pool * p, int thread) {
    for (;;) {
        int c = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (c >= p->chunks) {
            return;
        }
        p->fn(p->arg, c, thread);
    }
}

static void * worker_main(void * arg) {
    seat      s    = *(seat *) arg;
    ck_pool * p    = s.p;
    unsigned  seen = 0;
    free(arg);
    pthread_mutex_lock(&p->lock);
    while (!p->quit) {
        if (atomic_load(&p->job) == seen) {
            pthread_cond_wait(&p->wake, &p->lock);
            continue;
        }
        seen = atomic_load(&p->job);
        if (!p->open) {
            continue;
        }
        atomic_fetch_add(&p->active, 1);
        pthread_mutex_unlock(&p->lock);
        work(p, s.thread);
        pthread_mutex_lock(&p->lock);
        if (atomic_fetch_sub(&p->active, 1) == 1) {
            pthread_cond_signal(&p->done);
        }
        pthread_mutex_unlock(&p->lock);
        for (int i = 0; i < SPINS && atomic_load_explicit(&p->job, memory_order_relaxed) == seen; i++) {
            relax();
        }
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

void ck_run(ck_pool * p, ck_chunk_fn fn, void * arg, int chunks) {
    if (p->dry) {
        return;
    }
    if (p->started == 0 || chunks <= 1) {
        for (int c = 0; c < chunks; c++) {
            fn(arg, c, 0);
        }
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->fn     = fn;
    p->arg    = arg;
    p->chunks = chunks;
    p->open   = true;
    atomic_store(&p->next, 0);
    atomic_fetch_add(&p->job, 1);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);

    work(p, 0);

    for (int i = 0; i < SPINS && atomic_load(&p->active) != 0; i++) {
        relax();
    }
    pthread_mutex_lock(&p->lock);
    p->open = false;
    while (atomic_load(&p->active) != 0) {
        pthread_cond_wait(&p->done, &p->lock);
    }
    pthread_mutex_unlock(&p->lock);
}

static int pool_new(int threads, int level, bool dry, ck_pool ** out) {
    *out = NULL;
    if (threads < 1) {
        return CK_SHAPE;
    }
    const ck_ops * ops = ck_level_ops(&level);
    if (ops == NULL || !ck_level_supported(level)) {
        return CK_SHAPE;
    }
    ck_pool * p = calloc(1, sizeof *p);
    if (p == NULL) {
        return CK_NOMEM;
    }
    p->ops     = ops;
    p->level   = level;
    p->threads = threads;
    p->dry     = dry;
    p->worker  = calloc((size_t) threads, sizeof *p->worker);
    p->scratch = calloc((size_t) threads + 1, sizeof *p->scratch);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);
    if (p->worker == NULL || p->scratch == NULL) {
        ck_pool_free(p);
        return CK_NOMEM;
    }
    // Signals are the Go runtime's business.
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int err = CK_OK;
    for (int i = 1; i < threads && !dry && err == CK_OK; i++) {
        seat * s = malloc(sizeof *s);
        if (s == NULL) {
            err = CK_NOMEM;
            break;
        }
        *s = (seat){p, i};
        if (pthread_create(&p->worker[p->started], NULL, worker_main, s) != 0) {
            free(s);
            err = CK_THREAD;
            break;
        }
        p->started++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err != CK_OK) {
        ck_pool_free(p);
        return err;
    }
    *out = p;
    return CK_OK;
}

int ck_pool_new(int threads, int level, ck_pool ** out) { return pool_new(threads, level, false, out); }

int ck_pool_plan(int threads, int level, ck_pool ** out) { return pool_new(threads, level, true, out); }

void ck_pool_free(ck_pool * p) {
    if (p == NULL) {
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->quit = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->started; i++) {
        pthread_join(p->worker[i], NULL);
    }
    if (p->scratch != NULL) {
        ck_pool_trim(p);
    }
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->scratch);
    free(p->worker);
    free(p);
}

int ck_pool_use(ck_pool * p, int level) {
    const ck_ops * ops = ck_level_ops(&level);
    if (ops == NULL || !ck_level_supported(level)) {
        return CK_SHAPE;
    }
    p->ops   = ops;
    p->level = level;
    return CK_OK;
}

int            ck_threads(const ck_pool * p) { return p->threads; }
int            ck_pool_level(const ck_pool * p) { return p->level; }
bool           ck_dry(const ck_pool * p) { return p->dry; }
const ck_ops * ck_pool_ops(const ck_pool * p) { return p->ops; }

void * ck_scratch(ck_pool * p, int thread, size_t bytes) {
    buffer * b = &p->scratch[thread];
    if (p->dry) {
        static _Alignas(64) char nothing[64]; // never read or written
        b->size = b->size < bytes ? bytes : b->size;
        return nothing;
    }
    if (b->size < bytes) {
        free(b->data);
        b->size = 0;
        b->data = aligned_alloc(64, (bytes + 63) / 64 * 64);
        if (b->data == NULL) {
            return NULL;
        }
        b->size = bytes;
    }
    return b->data;
}

bool ck_scratch_all(ck_pool * p, size_t bytes) {
    for (int i = 0; i < p->threads; i++) {
        if (ck_scratch(p, i, bytes) == NULL) {
            return false;
        }
    }
    return true;
}

void * ck_scratch_of(ck_pool * p, int thread) { return p->scratch[thread].data; }

size_t ck_pool_scratch(const ck_pool * p) {
    size_t n = 0;
    for (int i = 0; i <= p->threads; i++) {
        n += p->scratch[i].size;
    }
    return n;
}

void ck_pool_trim(ck_pool * p) {
    for (int i = 0; i <= p->threads; i++) {
        free(p->scratch[i].data);
        p->scratch[i] = (buffer){0};
    }
}
