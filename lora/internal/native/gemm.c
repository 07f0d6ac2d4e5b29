// The product behind every level with panels, after Goto and van de Geijn,
// "Anatomy of High-Performance Matrix Multiplication" (2008), and BLIS. The
// right operand is dequantised and packed by the thread that uses it, a block
// of at most k_max x nb values at a time (level 2 cache); the left operand has
// been packed before by ck_pack where several products share it, and is packed
// block by block where not. DESIGN.md has the figures.
#include "kernels.h"

#include <string.h>

enum {
    L2_BYTES  = 384 * 1024, // of the 512 KiB or more of level 2 that a core has
    RIGHT_MAX = 192 * 1024, // of which the right operand may take this
};

// block_of is the size of the blocks into which k is cut. It depends on k
// alone, because the order of additions does on it.
static int block_of(const ck_panels * s, int k) {
    if (k <= s->k_max) {
        return k;
    }
    if (k % 256 == 0) {
        return s->k_max / 256 * 256; // whole blocks of the K-quants
    }
    int kc = ck_ceil_div(k, ck_ceil_div(k, s->k_max));
    return (kc + 63) / 64 * 64;
}

// left_bytes is the room of rows m (whole panels) for steps 0..k.
static size_t left_bytes(const ck_panels * s, int m, int k) {
    int kc = block_of(s, k), rows = ck_ceil_div(m, s->mr) * s->mr;
    return (size_t) (k / kc) * ck_panel_bytes(s, rows, kc) + (k % kc > 0 ? ck_panel_bytes(s, rows, k % kc) : 0);
}

size_t ck_blocked_pack_bytes(const ck_panels * s, int m, int k) { return left_bytes(s, m, k); }

typedef struct {
    const ck_panels * s;
    char *            out;
    const float *     x;
    int64_t           ld;
    int               m, k;
} pack_job;

enum { PACK_ROWS = 48 };

static void pack_chunk(void * arg, int chunk, int thread) {
    (void) thread;
    const pack_job *  j    = arg;
    const ck_panels * s    = j->s;
    int               kc   = block_of(s, j->k), rows = ck_ceil_div(j->m, s->mr) * s->mr;
    char *            base = j->out;
    int               each = ck_max(PACK_ROWS / s->mr, 1) * s->mr;
    for (int k0 = 0; k0 < j->k; k0 += kc) {
        int kl = ck_min(kc, j->k - k0);
        for (int i = chunk * each; i < ck_min(j->m, (chunk + 1) * each); i += s->mr) {
            s->left(s, base + ck_panel_bytes(s, i, kl), j->x + i * j->ld + k0, j->ld, 1, ck_min(s->mr, j->m - i), kl);
        }
        base += ck_panel_bytes(s, rows, kl);
    }
}

int ck_blocked_pack(ck_pool * p, const ck_panels * s, void * out, const float * x, int64_t ld, int m, int k) {
    pack_job j = {s, out, x, ld, m, k};
    ck_run(p, pack_chunk, &j, ck_ceil_div(m, ck_max(PACK_ROWS / s->mr, 1) * s->mr));
    return CK_OK;
}

typedef struct {
    ck_pool *         pool;
    const ck_panels * s;
    float *           c;
    int64_t           ldc;
    int               m, n;
    const ck_term *   terms;
    int               n_terms;
    bool              add;
    int               mb, nb;  // rows and columns of a chunk
    int               grid_n;  // chunks side by side
    size_t            tmp, right; // bytes of a thread's scratch; what follows is for the left operand
} gemm_job;

// right_cols is the most columns that a thread packs at a time.
static int right_cols(const gemm_job * j) { return ck_ceil_div(ck_min(j->nb, j->n), CK_NR) * CK_NR; }

// left_rows is the number of rows of a term's left operand that fit into level 2 beside the right one.
static int left_rows(const gemm_job * j, const ck_term * t) {
    int64_t row = (int64_t) ck_panel_bytes(j->s, 1, block_of(j->s, t->k));
    int64_t mc  = (L2_BYTES - row * right_cols(j)) / row;
    return ck_max((int) (mc / j->s->mr), ck_ceil_div(24, j->s->mr)) * j->s->mr;
}

void ck_add_edge(float * c, int64_t ldc, const float * tile, int64_t ld, int rows, int cols, bool add) {
    for (int i = 0; i < rows; i++) {
        for (int r = 0; r < cols; r++) {
            c[i * ldc + r] = (add ? c[i * ldc + r] : 0) + tile[i * ld + r];
        }
    }
}

// pack_right packs columns [j0,j0+w) of one block of the inner dimension.
static void pack_right(const gemm_job * j, const ck_term * t, char * out, void * tmp, int j0, int w, int k0, int kl) {
    const ck_panels * s = j->s;
    if (!t->b.trans) {
        s->right(s, out, &t->b, j->n, j0, w, k0, kl, tmp);
        return;
    }
    for (int jp = 0; jp < w; jp += CK_NR) {
        s->right_trans(s, out + ck_panel_bytes(s, jp, kl), &t->b, t->k, j0 + jp, ck_min(CK_NR, w - jp), k0, kl, tmp);
    }
}

static void gemm_chunk(void * arg, int chunk, int thread) {
    const gemm_job *  j  = arg;
    const ck_panels * s  = j->s;
    int               i0 = chunk / j->grid_n * j->mb, i1 = ck_min(i0 + j->mb, j->m);
    int               j0 = chunk % j->grid_n * j->nb, w = ck_min(j->nb, j->n - j0);
    char *            tmp = ck_scratch_of(j->pool, thread), *right = tmp + j->tmp, *own = right + j->right;
    bool              add = j->add;
    ck_begin(s);
    for (const ck_term * t = j->terms; t < j->terms + j->n_terms; t++) {
        const char * packed = t->a; // of this block, when the operand is packed
        int          kc = block_of(s, t->k), rows = ck_ceil_div(j->m, s->mr) * s->mr, mc = left_rows(j, t);
        for (int k0 = 0; k0 < t->k; k0 += kc) {
            int kl = ck_min(kc, t->k - k0);
            pack_right(j, t, right, tmp, j0, w, k0, kl);
            for (int i = i0; i < i1; i += mc) {
                int          n    = ck_min(mc, i1 - i);
                const char * left = t->lda == 0 ? packed + ck_panel_bytes(s, i, kl) : own;
                for (int r = 0; t->lda != 0 && r < n; r += s->mr) {
                    s->left(s, own + ck_panel_bytes(s, r, kl), (const float *) t->a + (i + r) * t->lda + k0, t->lda, 1, ck_min(s->mr, n - r), kl);
                }
                s->multiply(s, j->c + i * j->ldc + j0, j->ldc, left, right, n, w, kl, add);
            }
            packed += ck_panel_bytes(s, rows, kl);
            add = true;
        }
    }
    ck_end(s);
}

// plan cuts c into chunks: the cheapest grid for this number of threads by a
// small model of cycles. The cut does not change any value of the result.
static void plan(gemm_job * j, int threads) {
    const ck_panels * s     = j->s;
    int               align = CK_NR, kc = 1;
    double            k = 0;
    for (int i = 0; i < j->n_terms; i++) {
        const ck_term * t = &j->terms[i];
        k += t->k;
        kc = ck_max(kc, ck_round_up(block_of(s, t->k), s->kr));
        if (!t->b.trans) {
            align = ck_max(align, ck_block_size(t->b.type));
        }
    }
    int    nb_max = ck_max(RIGHT_MAX / (kc * s->bytes) / align * align, align);
    double best   = 0;
    for (int nb = align; nb <= nb_max; nb += align) {
        int grid_n = ck_ceil_div(j->n, nb);
        for (int div = 1; div <= 4 * threads; div++) {
            int mb = ck_ceil_div(ck_ceil_div(j->m, div), s->mr) * s->mr;
            if (div > 1 && mb < 24) {
                break;
            }
            int    w = ck_min(nb, (j->n + CK_NR - 1) / CK_NR * CK_NR), h = ck_min(mb, j->m);
            double chunk = k * (h * (w * s->cycles + s->left_cycles) + w * s->right_cycles);
            double cost  = chunk * ck_ceil_div(grid_n * ck_ceil_div(j->m, mb), threads);
            if (best == 0 || cost < best) {
                best      = cost;
                j->mb     = mb;
                j->nb     = nb;
                j->grid_n = grid_n;
            }
        }
    }
}

// reserve gives each thread room for blocks of the operands.
static bool reserve(gemm_job * j) {
    const ck_panels * s  = j->s;
    size_t            own = 0;
    j->right = 0;
    j->tmp   = 0;
    for (int i = 0; i < j->n_terms; i++) {
        const ck_term * t  = &j->terms[i];
        int             kl = block_of(s, t->k), w = right_cols(j), rows = ck_min(left_rows(j, t), ck_ceil_div(j->mb, s->mr) * s->mr);
        size_t          right = ck_panel_bytes(s, w, kl), left = t->lda == 0 ? 0 : ck_panel_bytes(s, rows, kl);
        size_t          tmp   = (size_t) ck_max(CK_NR * (ck_round_up(kl, s->kr) + 2 * CK_BLOCK_MAX), 2 * (w + 2 * CK_BLOCK_MAX)) * sizeof(float);
        j->right     = right > j->right ? right : j->right;
        own          = left > own ? left : own;
        j->tmp       = tmp > j->tmp ? tmp : j->tmp;
    }
    j->tmp   = (j->tmp + 63) / 64 * 64;
    j->right = (j->right + 63) / 64 * 64;
    return ck_scratch_all(j->pool, j->tmp + j->right + own);
}

int ck_blocked_gemm(ck_pool * p, const ck_panels * s, float * c, int64_t ldc, int m, int n, const ck_term * terms,
                    int n_terms, bool add) {
    gemm_job j = {.pool = p, .s = s, .c = c, .ldc = ldc, .m = m, .n = n, .terms = terms, .n_terms = n_terms, .add = add};
    plan(&j, ck_threads(p));
    if (!reserve(&j)) {
        return CK_NOMEM;
    }
    ck_run(p, gemm_chunk, &j, j.grid_n * ck_ceil_div(m, j.mb));
    return CK_OK;
}

// Gradients of the adapters: few rows (the rank), many columns, and an inner
// dimension, the tokens, along which both operands are strided.

enum { TN_COLS = 8 * CK_NR };

typedef struct {
    ck_pool *         pool;
    const ck_panels * s;
    float *           g;
    int64_t           gs, gt;
    char *            left; // uᵀ, packed
    int               r;
    ck_right          x;
    int               n, t;
    size_t            tmp, right;
} tn_job;

static void tn_chunk(void * arg, int chunk, int thread) {
    const tn_job *    j    = arg;
    const ck_panels * s    = j->s;
    int               j0   = chunk * TN_COLS, w = ck_min(TN_COLS, j->n - j0), kc = block_of(s, j->t);
    char *            tmp  = ck_scratch_of(j->pool, thread), *right = tmp + j->tmp;
    float *           sum  = (float *) (right + j->right); // [r][TN_COLS]
    const char *      left = j->left;
    ck_begin(s);
    for (int t0 = 0; t0 < j->t; t0 += kc) {
        int tl = ck_min(kc, j->t - t0);
        s->right(s, right, &j->x, j->n, j0, w, t0, tl, tmp);
        s->multiply(s, sum, TN_COLS, left, right, j->r, w, tl, t0 > 0);
        left += ck_panel_bytes(s, ck_ceil_div(j->r, s->mr) * s->mr, tl);
    }
    ck_end(s);
    for (int i = 0; i < j->r; i++) {
        for (int c = 0; c < w; c++) {
            j->g[i * j->gs + (j0 + c) * j->gt] += sum[i * TN_COLS + c];
        }
    }
}

int ck_blocked_gemm_tn(ck_pool * p, const ck_panels * s, float * g, int64_t gs, int64_t gt, const float * u, int64_t ldu,
                       int r, const float * x, int64_t ldx, int n, int t) {
    int    kc = block_of(s, t), rows = ck_ceil_div(r, s->mr) * s->mr;
    tn_job j  = {p, s, g, gs, gt, ck_scratch(p, ck_threads(p), left_bytes(s, r, t)), r,
                 {x, (size_t) ldx * sizeof(float), CK_F32, false, 1}, n, t, 2 * TN_COLS * sizeof(float), ck_panel_bytes(s, TN_COLS, kc)};
    if (j.left == NULL || !ck_scratch_all(p, j.tmp + j.right + (size_t) r * TN_COLS * sizeof(float))) {
        return CK_NOMEM;
    }
    char * left = j.left;
    for (int t0 = 0; t0 < t && !ck_dry(p); t0 += kc) {
        int tl = ck_min(kc, t - t0);
        for (int i = 0; i < r; i += s->mr) {
            s->left(s, left + ck_panel_bytes(s, i, tl), u + t0 * ldu + i, 1, ldu, ck_min(s->mr, r - i), tl);
        }
        left += ck_panel_bytes(s, rows, tl);
    }
    ck_run(p, tn_chunk, &j, ck_ceil_div(n, TN_COLS));
    return CK_OK;
}
