// Losses over rows of logits, a block for each row: cross-entropy, and
// distillation from a teacher's likeliest tokens (soft.h, naive_soft.c).
#include "elements.cuh"

static const int LOSS_THREADS = 512;

// A seen value and where it stood; of equal ones the first is the better.
struct seen {
    float v;
    int   i;
};

__device__ static inline bool better(const seen & a, const seen & b) { return a.v > b.v || (a.v == b.v && a.i < b.i); }

__device__ static inline seen block_best(seen s, seen * part) {
    for (int i = 16; i > 0; i /= 2) {
        seen o = {__shfl_xor_sync(FULL, s.v, i), __shfl_xor_sync(FULL, s.i, i)};
        s      = better(o, s) ? o : s;
    }
    __syncthreads();
    if (threadIdx.x % 32 == 0) {
        part[threadIdx.x / 32] = s;
    }
    __syncthreads();
    s = part[0];
    for (unsigned i = 1; i < blockDim.x / 32; i++) {
        s = better(part[i], s) ? part[i] : s;
    }
    return s;
}

static const int NOWHERE = 0x7fffffff;

// largest_after is the best value of a row among those that come after prev in the order of better; NOWHERE if there is none.
__device__ static inline seen largest_after(const float * x, int n, seen prev, bool any, seen * part) {
    seen s = {-INFINITY, NOWHERE};
    for (int j = threadIdx.x; j < n; j += LOSS_THREADS) {
        seen o = {x[j], j};
        if (better(o, s) && (any || better(prev, o))) {
            s = o;
        }
    }
    return block_best(s, part);
}

__device__ static inline float sum_exp(const float * x, int n, float m, float by, float * part) {
    float s = 0;
    for (int j = threadIdx.x; j < n; j += LOSS_THREADS) {
        s += expf((x[j] - m) * by);
    }
    return block_sum(s, part);
}

struct entropy_args {
    float *         x;
    const int32_t * target;
    const float *   weight;
    double *        loss;
    int32_t *       correct;
    int64_t         ld;
    int             n;
    bool            grad;
    float           scale;
    POINTERS(x, target, weight, loss, correct)
};

__global__ void __launch_bounds__(LOSS_THREADS) entropy_row(entropy_args a) {
    SHARED(seen, part);
    int64_t row    = blockIdx.x;
    float * x      = a.x + row * a.ld;
    int     target = a.target[row];
    seen    best   = largest_after(x, a.n, seen{0, 0}, true, part);
    float   m = best.v, hit = x[target], total = sum_exp(x, a.n, m, 1, (float *) part);
    if (threadIdx.x == 0) {
        a.loss[row]    = log((double) total) + m - hit;
        a.correct[row] = best.i == target;
    }
    if (a.grad) {
        float scale = a.scale * (a.weight == nullptr ? 1 : a.weight[row]), by = scale / total;
        for (int j = threadIdx.x; j < a.n; j += LOSS_THREADS) {
            float p = by * expf(x[j] - m);
            x[j]    = j == target ? p - scale : p;
        }
    }
}

int cd_cross_entropy(cd_card * c, cd_mat logits, const int32_t * target, bool grad, float scale, const float * weight, double * loss,
                     int32_t * correct) {
    ENTER(c);
    size_t t = (size_t) logits.rows;
    ROOM(c, 20 * t);
    entropy_args a = {floats(logits), (const int32_t *) c->upload(target, 4 * t), nullptr, nullptr, nullptr, logits.ld, (int) logits.cols, grad, scale};
    if (weight != nullptr) {
        a.weight = (const float *) c->upload(weight, 4 * t);
    }
    result r[] = {make_result(c, loss, 8 * t), make_result(c, correct, 4 * t)};
    a.loss     = (double *) r[0].on_card;
    a.correct  = (int32_t *) r[1].on_card;
    LAUNCH(c, "cross_entropy", entropy_row, (unsigned) t, LOSS_THREADS, 40 * sizeof(double), a);
    return fetch(c, r);
}

struct soft_args {
    float *         x;
    const int32_t * target;
    int32_t *       ids;
    float *         logp;
    float *         rest;
    double *        loss;
    double *        kl;
    int32_t *       correct;
    int64_t         ld;
    int             n, k;
    bool            grad;
    float           scale, alpha, temperature;
    POINTERS(x, target, ids, logp, rest, loss, kl, correct)
};

// CK_LEAST_REST, as a float
static const double LEAST_REST = 1e-37;

__global__ void __launch_bounds__(LOSS_THREADS) top_k_row(soft_args a) {
    SHARED(seen, part);
    int64_t   row = blockIdx.x;
    float *   x   = a.x + row * a.ld;
    float *   top = a.logp + row * a.k;
    int32_t * ids = a.ids + row * a.k;
    float     by = 1 / a.temperature, m = 0;
    double    of_top = 0;
    seen      s      = {0, 0};
    for (int j = 0; j < a.k; j++) {
        s = largest_after(x, a.n, s, j == 0, part);
        m = j == 0 ? s.v : m;
        of_top += exp((double) (s.v - m) * by);
        if (threadIdx.x == 0) {
            top[j] = s.v;
            ids[j] = s.i == NOWHERE ? j : s.i; // not numbers at all
        }
    }
    float others = 0;
    for (int j = threadIdx.x; j < a.n; j += LOSS_THREADS) {
        seen o = {x[j], j};
        others += better(s, o) ? expf((o.v - m) * by) : 0;
    }
    double left = block_sum(others, (float *) part);
    left        = left > LEAST_REST ? left : LEAST_REST;
    if (threadIdx.x == 0) {
        double all = log(of_top + left);
        for (int j = 0; j < a.k; j++) {
            top[j] = (float) ((double) (top[j] - m) / a.temperature - all);
        }
        a.rest[row] = (float) (log(left) - all);
    }
}

int cd_top_k(cd_card * c, cd_mat logits, const ck_soft * s) {
    ENTER(c);
    size_t t = (size_t) logits.rows, k = (size_t) s->k;
    if (s->k < 1 || s->k > logits.cols || !(s->temperature > 0)) {
        return CK_SHAPE;
    }
    ROOM(c, t * (8 * k + 4));
    result    r[] = {make_result(c, s->ids, 4 * t * k), make_result(c, s->logp, 4 * t * k), make_result(c, s->rest, 4 * t)};
    soft_args a   = {};
    a.x           = floats(logits);
    a.ids         = (int32_t *) r[0].on_card;
    a.logp        = (float *) r[1].on_card;
    a.rest        = (float *) r[2].on_card;
    a.ld          = logits.ld;
    a.n           = (int) logits.cols;
    a.k           = s->k;
    a.temperature = s->temperature;
    LAUNCH(c, "top_k", top_k_row, (unsigned) t, LOSS_THREADS, 40 * sizeof(double), a);
    return fetch(c, r);
}

// The formulas stand in naive_soft.c. The logits of the k tokens are put aside, behind the room for sums, and taken out of the
// row, so that what all others have together loses nothing by subtraction.
__global__ void __launch_bounds__(LOSS_THREADS) distill_row(soft_args a) {
    SHARED(seen, part);
    float *         z    = (float *) (part + 40);
    int64_t         row  = blockIdx.x;
    float *         x    = a.x + row * a.ld;
    const int32_t * ids  = a.ids + row * a.k;
    const float *   logq = a.logp + row * a.k;
    int             target = a.target[row];
    float           by     = 1 / a.temperature, logq_rest = a.rest[row];
    seen            best = largest_after(x, a.n, seen{0, 0}, true, part);
    float           m = best.v, hit = x[target], hard = sum_exp(x, a.n, m, 1, (float *) part);
    __syncthreads();
    for (int j = threadIdx.x; j < a.k; j += LOSS_THREADS) {
        z[j]      = x[ids[j]] - m;
        x[ids[j]] = -INFINITY;
    }
    __syncthreads();
    double others = sum_exp(x, a.n, m, by, (float *) part), of_top = 0, kl = 0, q_rest = exp((double) logq_rest);
    others        = others > LEAST_REST ? others : LEAST_REST;
    for (int j = 0; j < a.k; j++) {
        of_top += exp((double) z[j] / a.temperature);
    }
    double all = of_top + others, log_all = log(all);
    if (threadIdx.x == 0) {
        kl = q_rest * (logq_rest - (log(others) - log_all));
        for (int j = 0; j < a.k; j++) {
            kl += exp((double) logq[j]) * (logq[j] - ((double) z[j] / a.temperature - log_all));
        }
        a.loss[row]    = log((double) hard) + m - hit;
        a.kl[row]      = kl;
        a.correct[row] = best.i == target;
    }
    if (!a.grad) {
        return;
    }
    double soft = (1 - (double) a.alpha) * a.temperature / all;
    float  rest = (float) (a.scale * soft * (1 - q_rest * all / others)), sure = a.scale * a.alpha / hard;
    __syncthreads();
    for (int j = threadIdx.x; j < a.n; j += LOSS_THREADS) {
        x[j] = sure * expf(x[j] - m) + rest * expf((x[j] - m) * by);
    }
    __syncthreads();
    for (int j = threadIdx.x; j < a.k; j += LOSS_THREADS) {
        x[ids[j]] = sure * expf(z[j]) + (float) (a.scale * soft * (exp((double) z[j] / a.temperature) - exp((double) logq[j]) * all));
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        x[target] -= a.scale * a.alpha;
    }
}

int cd_distill(cd_card * c, cd_mat logits, const int32_t * target, const ck_soft * s, bool grad, float scale, double * loss, double * kl,
               int32_t * correct) {
    ENTER(c);
    size_t t = (size_t) logits.rows, k = (size_t) s->k;
    ROOM(c, t * (8 * k + 4 + 4 + 20));
    soft_args a   = {};
    a.x           = floats(logits);
    a.target      = (const int32_t *) c->upload(target, 4 * t);
    a.ids         = (int32_t *) c->upload(s->ids, 4 * t * k);
    a.logp        = (float *) c->upload(s->logp, 4 * t * k);
    a.rest        = (float *) c->upload(s->rest, 4 * t);
    result r[]    = {make_result(c, loss, 8 * t), make_result(c, kl, 8 * t), make_result(c, correct, 4 * t)};
    a.loss        = (double *) r[0].on_card;
    a.kl          = (double *) r[1].on_card;
    a.correct     = (int32_t *) r[2].on_card;
    a.ld          = logits.ld;
    a.n           = (int) logits.cols;
    a.k           = s->k;
    a.grad        = grad;
    a.scale       = scale;
    a.alpha       = s->alpha;
    a.temperature = s->temperature;
    size_t shared = 40 * sizeof(seen) + 4 * k;
    if (shared > (48 << 10)) {
        return CK_SHAPE; // more than 12,000 tokens
    }
    LAUNCH(c, "distill", distill_row, (unsigned) t, LOSS_THREADS, shared, a);
    return fetch(c, r);
}
