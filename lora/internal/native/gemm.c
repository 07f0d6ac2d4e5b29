// The blocked product behind every level with micro-kernels, after Goto and van
// de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008), and
// BLIS. The right operand is dequantised and packed by the thread that uses it,
// a block of at most KC_MAX x nb values at a time (level 2 cache), in panels of
// CK_NR columns (level 1 cache); the left operand has been packed before by
// ck_pack, because several products share it. DESIGN.md has the figures.
#include "kernels.h"

#include <string.h>

enum {
    KC_MAX     = 320,                // values of the inner dimension in one block: 320·16·4 = 20 KiB of L1
    L2_BYTES   = 384 * 1024,         // of the 512 KiB or more of level 2 that a core has
    RIGHT_MAX  = 128 * 1024,         // of which the right operand may take this
    BLOCK_MAX  = 512,                // no ggml type has larger blocks
    DIRECT_K   = 64,                 // fewer rows than this of a float right operand are not worth packing
    TMP_FLOATS = CK_NR * (KC_MAX + 2 * BLOCK_MAX),
};

// block_of is the size of the blocks into which k is cut. It depends on k
// alone, because the order of additions does on it.
static int block_of(int k) {
    if (k <= KC_MAX) {
        return k;
    }
    if (k % 256 == 0) {
        return 256; // whole blocks of the K-quants
    }
    int kc = ck_ceil_div(k, ck_ceil_div(k, KC_MAX));
    return (kc + 63) / 64 * 64;
}

size_t ck_pack_floats(int m, int k) { return (size_t) ck_ceil_div(m, CK_MR) * CK_MR * (size_t) k; }

typedef struct {
    const ck_tiles * tiles;
    float *          out;
    const float *    x;
    int64_t          ld;
    int              m, k;
} pack_job;

enum { PACK_PANELS = 4 };

static void pack_chunk(void * arg, int chunk, int thread) {
    (void) thread;
    const pack_job * j      = arg;
    int              panels = ck_ceil_div(j->m, CK_MR);
    int              kc     = block_of(j->k);
    for (int k0 = 0; k0 < j->k; k0 += kc) {
        int     kl   = ck_min(kc, j->k - k0);
        float * base = j->out + (size_t) panels * CK_MR * (size_t) k0;
        for (int ip = chunk * PACK_PANELS; ip < ck_min(panels, (chunk + 1) * PACK_PANELS); ip++) {
            int           rows = ck_min(CK_MR, j->m - ip * CK_MR);
            float *       out  = base + (size_t) ip * CK_MR * (size_t) kl;
            const float * x    = j->x + (int64_t) ip * CK_MR * j->ld + k0;
            if (rows == CK_MR) {
                j->tiles->pack_left(out, x, j->ld, kl);
                continue;
            }
            for (int l = 0; l < kl; l++) {
                for (int i = 0; i < CK_MR; i++) {
                    out[l * CK_MR + i] = i < rows ? x[i * j->ld + l] : 0;
                }
            }
        }
    }
}

int ck_blocked_pack(ck_pool * p, const ck_tiles * tiles, float * out, const float * x, int64_t ld, int m, int k) {
    pack_job j = {tiles, out, x, ld, m, k};
    ck_run(p, pack_chunk, &j, ck_ceil_div(ck_ceil_div(m, CK_MR), PACK_PANELS));
    return CK_OK;
}

typedef struct {
    ck_pool *        pool;
    const ck_tiles * tiles;
    float *          c;
    int64_t          ldc;
    int              m, n;
    const ck_term *  terms;
    int              n_terms;
    bool             add;
    int              mb, nb; // rows and columns of a chunk
    int              grid_n; // chunks side by side
} gemm_job;

// pack_right_trans packs columns [j0,j0+w) of the transpose of b, which are rows of b, for k0 <= l < k0+kl.
static void pack_right_trans(const gemm_job * j, const ck_term * t, float * out, float * tmp, int j0, int w, int k0, int kl) {
    const ck_right * b        = &t->b;
    ck_to_float_fn   to_float = j->tiles->to_float(b->type);
    for (int jp = 0; jp < w; jp += CK_NR, out += (size_t) kl * CK_NR) {
        const char *  row = (const char *) b->data + (size_t) (j0 + jp) * b->row_bytes;
        int           nr  = ck_min(CK_NR, w - jp);
        int64_t       ld  = kl + 2 * BLOCK_MAX;
        const float * x   = ck_dequant(to_float, b->type, row, t->k, k0, kl, tmp);
        if (b->type == CK_F32) { // x is the row itself
            ld = (int64_t) (b->row_bytes / sizeof(float));
        } else {
            for (int r = 1; r < nr; r++) {
                ck_dequant(to_float, b->type, row + (size_t) r * b->row_bytes, t->k, k0, kl, tmp + r * ld);
            }
        }
        if (nr == CK_NR) {
            j->tiles->transpose16(out, x, ld, kl, b->scale);
            continue;
        }
        for (int l = 0; l < kl; l++) {
            for (int r = 0; r < CK_NR; r++) {
                out[l * CK_NR + r] = r < nr ? b->scale * x[r * ld + l] : 0;
            }
        }
    }
}

// pack_right packs columns [j0,j0+w) of rows k0 <= l < k0+kl of b.
static void pack_right(const gemm_job * j, const ck_term * t, float * out, float * tmp, int j0, int w, int k0, int kl) {
    const ck_right * b        = &t->b;
    ck_to_float_fn   to_float = j->tiles->to_float(b->type);
    for (int l = 0; l < kl; l++) {
        const char *  row = (const char *) b->data + (size_t) (k0 + l) * b->row_bytes;
        const float * x   = ck_dequant(to_float, b->type, row, j->n, j0, w, tmp);
        j->tiles->copy16(out + (size_t) l * CK_NR, (int64_t) kl * CK_NR, x, w, b->scale);
    }
}

// add_edge adds or copies the first nr columns of a tile.
static void add_edge(float * c, int64_t ldc, const float * tile, int rows, int nr, bool add) {
    for (int i = 0; i < rows; i++) {
        for (int r = 0; r < nr; r++) {
            c[i * ldc + r] = (add ? c[i * ldc + r] : 0) + tile[i * CK_NR + r];
        }
    }
}

// multiply_block adds (or, without add, writes) the product of one block of the inner dimension to the chunk's part of c.
static void multiply_block(const gemm_job * j, const ck_term * t, int i0, int i1, int j0, int w, int k0, int kl,
                           const float * right, int64_t panel, int64_t ldb, bool add) {
    _Alignas(64) float edge[CK_MR * CK_NR];
    int mc     = L2_BYTES / (kl * (int) sizeof(float)) - w;
    mc         = ck_max(mc / CK_MR * CK_MR, 4 * CK_MR);
    int panels = ck_ceil_div(j->m, CK_MR);
    for (int ic = i0; ic < i1; ic += mc) {
        int ie = ck_min(ic + mc, i1);
        for (int jp = 0; jp < w; jp += CK_NR) {
            const float * b  = right + (int64_t) (jp / CK_NR) * panel;
            int           nr = ck_min(CK_NR, w - jp);
            for (int i = ic; i < ie; i += CK_MR) {
                int           rows = ck_min(CK_MR, ie - i);
                const float * a    = t->a + (int64_t) i * t->lda + k0;
                int64_t       rs = t->lda, cs = 1;
                if (t->lda == 0) {
                    a  = t->a + (size_t) panels * CK_MR * (size_t) k0 + (size_t) i * (size_t) kl;
                    rs = 1;
                    cs = CK_MR;
                }
                float * c = j->c + (int64_t) i * j->ldc + j0 + jp;
                if (nr == CK_NR) {
                    j->tiles->tile[rows](kl, a, rs, cs, b, ldb, c, j->ldc, add);
                } else {
                    j->tiles->tile[rows](kl, a, rs, cs, b, ldb, edge, CK_NR, false);
                    add_edge(c, j->ldc, edge, rows, nr, add);
                }
            }
        }
    }
}

static void gemm_chunk(void * arg, int chunk, int thread) {
    const gemm_job * j     = arg;
    int              i0    = chunk / j->grid_n * j->mb;
    int              i1    = ck_min(i0 + j->mb, j->m);
    int              j0    = chunk % j->grid_n * j->nb;
    int              w     = ck_min(j->nb, j->n - j0);
    float *          tmp   = ck_scratch_of(j->pool, thread);
    float *          right = tmp + TMP_FLOATS;
    bool             add   = j->add;
    for (const ck_term * t = j->terms; t < j->terms + j->n_terms; t++) {
        int  kc     = block_of(t->k);
        bool direct = !t->b.trans && t->b.type == CK_F32 && t->b.scale == 1 && w % CK_NR == 0 && t->k <= DIRECT_K;
        for (int k0 = 0; k0 < t->k; k0 += kc) {
            int kl = ck_min(kc, t->k - k0);
            if (direct) {
                int64_t ldb = (int64_t) (t->b.row_bytes / sizeof(float));
                multiply_block(j, t, i0, i1, j0, w, k0, kl, (const float *) t->b.data + k0 * ldb + j0, CK_NR, ldb, add);
                add = true;
                continue;
            }
            if (t->b.trans) {
                pack_right_trans(j, t, right, tmp, j0, w, k0, kl);
            } else {
                pack_right(j, t, right, tmp, j0, w, k0, kl);
            }
            multiply_block(j, t, i0, i1, j0, w, k0, kl, right, (int64_t) kl * CK_NR, CK_NR, add);
            add = true;
        }
    }
}

// plan cuts c into chunks: the cheapest grid for this number of threads by a
// small model of cycles. The cut does not change any value of the result.
static void plan(gemm_job * j, int threads) {
    int    align = CK_NR, kc = 1;
    double k = 0;
    for (int i = 0; i < j->n_terms; i++) {
        const ck_term * t = &j->terms[i];
        k += t->k;
        kc = ck_max(kc, block_of(t->k));
        if (!t->b.trans) {
            align = ck_max(align, ck_block_size(t->b.type));
        }
    }
    int    nb_max = ck_max(RIGHT_MAX / (kc * (int) sizeof(float)) / align * align, align);
    double best   = 0;
    for (int nb = align; nb <= nb_max; nb += align) {
        int grid_n = ck_ceil_div(j->n, nb);
        for (int div = 1; div <= 4 * threads; div++) {
            int mb = ck_ceil_div(ck_ceil_div(j->m, div), CK_MR) * CK_MR;
            if (div > 1 && mb < 4 * CK_MR) {
                break;
            }
            int w = ck_min(nb, (j->n + CK_NR - 1) / CK_NR * CK_NR), h = ck_min(mb, j->m);
            // Multiplying, reading the left operand from level 3, and dequantising and packing the right one.
            double chunk = k * h * (w / 8.0 + 0.5) + k * w * 4.0;
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

int ck_blocked_gemm(ck_pool * p, const ck_tiles * tiles, float * c, int64_t ldc, int m, int n, const ck_term * terms,
                    int n_terms, bool add) {
    gemm_job j = {.pool = p, .tiles = tiles, .c = c, .ldc = ldc, .m = m, .n = n, .terms = terms, .n_terms = n_terms, .add = add};
    plan(&j, ck_threads(p));
    size_t floats = (size_t) TMP_FLOATS + (size_t) j.nb * KC_MAX;
    if (!ck_scratch_all(p, floats * sizeof(float))) {
        return CK_NOMEM;
    }
    ck_run(p, gemm_chunk, &j, j.grid_n * ck_ceil_div(m, j.mb));
    return CK_OK;
}

// Gradients of the adapters: few rows (the rank), many columns, and an inner
// dimension, the tokens, along which both operands are strided.

enum { TN_COLS = 4 * CK_NR, TN_ROWS = 256 };

typedef struct {
    ck_pool *        pool;
    const ck_tiles * tiles;
    float *          g;
    int64_t          gs, gt;
    const float *    u;
    int64_t          ldu;
    int              r;
    const float *    x;
    int64_t          ldx;
    int              n, t;
} tn_job;

static void tn_chunk(void * arg, int chunk, int thread) {
    const tn_job * j    = arg;
    int            j0   = chunk * TN_COLS;
    int            w    = ck_min(TN_COLS, j->n - j0);
    float *        x    = ck_scratch_of(j->pool, thread); // panels [TN_COLS/16][TN_ROWS][16]
    float *        sum  = x + TN_ROWS * TN_COLS;          // [r][TN_COLS]
    for (int t0 = 0; t0 < j->t; t0 += TN_ROWS) {
        int tl = ck_min(TN_ROWS, j->t - t0);
        for (int l = 0; l < tl; l++) {
            j->tiles->copy16(x + l * CK_NR, TN_ROWS * CK_NR, j->x + (t0 + l) * j->ldx + j0, w, 1);
        }
        for (int jp = 0; jp < w; jp += CK_NR) {
            for (int i = 0; i < j->r; i += CK_MR) {
                int rows = ck_min(CK_MR, j->r - i);
                j->tiles->tile[rows](tl, j->u + t0 * j->ldu + i, 1, j->ldu, x + jp * TN_ROWS, CK_NR,
                                     sum + i * TN_COLS + jp, TN_COLS, t0 > 0);
            }
        }
    }
    for (int i = 0; i < j->r; i++) {
        for (int c = 0; c < w; c++) {
            j->g[i * j->gs + (j0 + c) * j->gt] += sum[i * TN_COLS + c];
        }
    }
}

int ck_blocked_gemm_tn(ck_pool * p, const ck_tiles * tiles, float * g, int64_t gs, int64_t gt, const float * u, int64_t ldu,
                       int r, const float * x, int64_t ldx, int n, int t) {
    tn_job j = {p, tiles, g, gs, gt, u, ldu, r, x, ldx, n, t};
    if (!ck_scratch_all(p, (size_t) (TN_ROWS + r) * TN_COLS * sizeof(float))) {
        return CK_NOMEM;
    }
    ck_run(p, tn_chunk, &j, ck_ceil_div(n, TN_COLS));
    return CK_OK;
}
