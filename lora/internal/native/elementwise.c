// Kernels that memory bounds, in plain C for every level: sums, products of
// rows, and the soft cap of logits.
#include "kernels.h"

#include <math.h>

enum { ROWS = 16 }; // of one chunk

typedef struct {
    float *       out;
    const float * x;
    const float * y;
    int64_t       ldo, ldx, ldy;
    float         cap;
    int           t, n;
} job;

#define ROW_CHUNKS(name, row)                                                                                                 \
    static void name(void * arg, int chunk, int thread) {                                                                     \
        (void) thread;                                                                                                        \
        const job * j = arg;                                                                                                  \
        for (int i = chunk * ROWS; i < ck_min(j->t, (chunk + 1) * ROWS); i++) {                                               \
            row(j, j->out + i * j->ldo, j->x + i * j->ldx, j->y + i * j->ldy);                                                \
        }                                                                                                                     \
    }

static int run(ck_pool * p, ck_chunk_fn fn, job * j) {
    if (j->t <= 0 || j->n <= 0) {
        return CK_SHAPE;
    }
    ck_run(p, fn, j, ck_ceil_div(j->t, ROWS));
    return CK_OK;
}

static void add_row(const job * j, float * out, const float * x, const float * y) {
    (void) y;
    for (int i = 0; i < j->n; i++) {
        out[i] += x[i];
    }
}
ROW_CHUNKS(add_rows, add_row)

int ck_add(ck_pool * p, float * out, int64_t ldo, const float * x, int64_t ldx, int t, int n) {
    job j = {.out = out, .ldo = ldo, .x = x, .ldx = ldx, .y = x, .ldy = ldx, .t = t, .n = n};
    return run(p, add_rows, &j);
}

static void scale_row(const job * j, float * out, const float * x, const float * y) {
    (void) y;
    for (int i = 0; i < j->n; i++) {
        out[i] *= x[0];
    }
}
ROW_CHUNKS(scale_rows, scale_row)

int ck_scale_rows(ck_pool * p, float * x, int64_t ld, const float * w, int t, int n) {
    job j = {.out = x, .ldo = ld, .x = w, .ldx = 1, .y = w, .ldy = 1, .t = t, .n = n};
    return run(p, scale_rows, &j);
}

static void dot_row(const job * j, float * out, const float * x, const float * y) {
    double s = 0;
    for (int i = 0; i < j->n; i++) {
        s += (double) x[i] * y[i];
    }
    out[0] = (float) s;
}
ROW_CHUNKS(dot_rows, dot_row)

int ck_dot_rows(ck_pool * p, float * out, const float * x, int64_t ldx, const float * y, int64_t ldy, int t, int n) {
    job j = {.out = out, .ldo = 1, .x = x, .ldx = ldx, .y = y, .ldy = ldy, .t = t, .n = n};
    return run(p, dot_rows, &j);
}

static void cap_row(const job * j, float * out, const float * x, const float * y) {
    (void) y;
    for (int i = 0; i < j->n; i++) {
        out[i] = j->cap * tanhf(x[i] / j->cap);
    }
}
ROW_CHUNKS(cap_rows, cap_row)

int ck_softcap(ck_pool * p, float * x, int64_t ld, float cap, int t, int n) {
    job j = {.out = x, .ldo = ld, .x = x, .ldx = ld, .y = x, .ldy = ld, .cap = cap, .t = t, .n = n};
    return cap > 0 ? run(p, cap_rows, &j) : CK_SHAPE;
}

static void cap_back_row(const job * j, float * out, const float * x, const float * y) {
    (void) y;
    for (int i = 0; i < j->n; i++) {
        float s = x[i] / j->cap;
        out[i] *= 1 - s * s;
    }
}
ROW_CHUNKS(cap_back_rows, cap_back_row)

int ck_softcap_back(ck_pool * p, float * d, int64_t ldd, const float * y, int64_t ldy, float cap, int t, int n) {
    job j = {.out = d, .ldo = ldd, .x = y, .ldx = ldy, .y = y, .ldy = ldy, .cap = cap, .t = t, .n = n};
    return cap > 0 ? run(p, cap_back_rows, &j) : CK_SHAPE;
}
