// Attention in blocks with an online softmax, for every level with panels: Dao,
// "FlashAttention-2" (2023). No T x T matrix exists. Queries and keys are cut
// into the same blocks, none across a border of segments, and q, k, v and d_o
// packed once, block by block, in the forms in which products read them. Scores
// are computed transposed, keys x queries: then maxima, sums, lse and delta lie
// along the vectors, and no operand has to be transposed for dk and dv.
//
//   forward   Sᵀ = K·Qᵀ                O  += P·V
//   backward  Sᵀ = K·Qᵀ, dPᵀ = V·dOᵀ   dQ += dS·K, dV += Pᵀ·dO, dK += dSᵀ·Q
//
// A chunk of the forward pass is a block of queries of one head. A chunk of the
// backward pass is a unit, a few blocks of one segment, for one kv head: it
// alone writes dq, dk and dv of its positions, so the result does not depend on
// the number of threads. Scores of queries and keys in one unit are computed
// once, others twice. The formulas stand in naive_attention.c.
#include "kernels.h"

#include <math.h>
#include <string.h>

enum {
    UNIT       = 4,        // blocks at most
    PACKED_MAX = 64 << 20, // as many kv heads are packed at a time as fit into these bytes
};

// Packed forms of a kv head. The backward pass has four more for each of its q heads.
enum { K_LEFT, V_RIGHT, FORWARD_FORMS, V_LEFT = V_RIGHT, K_RIGHT, Q_FORMS };
enum { Q_TRANS, Q_RIGHT, G_TRANS, G_RIGHT, FORMS_OF_Q }; // G is d_o

typedef struct {
    const ck_attn *   a;
    const ck_panels * s;
    ck_pool *         pool;
    bool              back;
    int               group;     // q heads that share a kv head
    int               wide;      // dim, in whole panels
    int               blocks;    // of at most s->block positions
    int *             first;     // [blocks + 1]: their first positions
    int               units;
    int *             unit;      // [units + 1]: their first blocks
    int *             at;        // [blocks]: their first rows in packed forms, which have so many
    int               rows;
    int *             from;      // [blocks]: the first block of keys that a block of queries sees beside the prefix
    int *             home;      // [blocks]: the first block of a unit that fills a segment which no other one sees, else -1
    int               prefix;    // blocks of the prefix
    int               kv0, kv_n; // the kv heads at hand
    int               kv_step;   // as many of them at a time
    int               forms;     // of a kv head
    size_t            row_bytes; // of packed rows
    char *            packed;
    float *           out; // o or dq
    int64_t           ldo;
    float *           lse_out;
    const float *     o;
    const float *     lse;
    const float *     d_o;
    int64_t           lddo;
    float *           dk;
    float *           dv;
    float *           lse_of; // [heads][t]: lse; backward only
    float *           delta;  // [heads][t]: d_o·o; backward only
} job;

// room is a thread's scratch; n stands for s->block.
typedef struct {
    float * s;    // [n,n]: Sᵀ and Pᵀ
    float * ds;   // [n,n]: dPᵀ and dSᵀ
    float * acc;  // [n,wide]: sums of o, dv
    float * dk;   // [n,wide]
    float * dq;   // [UNIT][group][n,wide]
    char *  left; // blocks of p, ds and dsᵀ, packed
    char *  q;    // a block of queries, packed
    char *  own;  // the packed forms of a unit that fills a segment
    char *  tmp;
} room;

enum { OF_P, OF_DS, OF_DST, LEFTS };

// room_of divides scratch among its parts and returns the bytes in all.
static size_t room_of(const job * j, char * scratch, room * w) {
    size_t n = (size_t) j->s->block, square = n * n, acc = n * (size_t) j->wide, units = j->back ? (size_t) (UNIT * j->group) : 0;
    w->s     = (float *) scratch;
    w->ds    = w->s + square;
    w->acc   = w->ds + square;
    w->dk    = w->acc + acc;
    w->dq    = w->dk + acc;
    w->left  = (char *) (w->dq + units * acc);
    w->q     = w->left + LEFTS * ck_panel_bytes(j->s, (int) n, (int) n);
    w->own   = w->q + n * j->row_bytes;
    w->tmp   = w->own + (size_t) (j->forms * UNIT) * n * j->row_bytes;
    return (size_t) (w->tmp - scratch) + CK_NR * j->row_bytes;
}

static int size_of(const job * j, int block) { return j->first[block + 1] - j->first[block]; }

// form is where a block of a packed form of a kv head stands: in scratch of the thread, which stays in level 2, where nobody
// outside the unit reads it, else in memory that all share.
static char * form(const job * j, const room * w, int kv, int which, int block) {
    int    home = j->home[block], first = home < 0 ? (kv - j->kv0) * j->forms : 0;
    size_t rows = (size_t) (home < 0 ? j->rows : UNIT * j->s->block), at = (size_t) (j->at[block] - (home < 0 ? 0 : j->at[home]));
    return (home < 0 ? j->packed : w->own) + ((size_t) (first + which) * rows + at) * j->row_bytes;
}

static char * q_form(const job * j, const room * w, int head, int which, int block) {
    return form(j, w, head / j->group, Q_FORMS + head % j->group * FORMS_OF_Q + which, block);
}

// The three ways to pack n rows of x [n,dim] ld: as left operand, as right operand, and transposed as right operand.

static void pack_left(const job * j, char * out, const float * x, int64_t rs, int64_t cs, int n, int kl) {
    const ck_panels * s = j->s;
    for (int r = 0; r < n; r += s->mr) {
        s->left(s, out + ck_panel_bytes(s, r, kl), x + r * rs, rs, cs, ck_min(s->mr, n - r), kl);
    }
}

static void pack_right(const job * j, char * out, const float * x, int64_t ld, int n, char * tmp) {
    ck_right b = {x, (size_t) ld * sizeof(float), CK_F32, false, 1};
    j->s->right(j->s, out, &b, j->a->dim, 0, j->a->dim, 0, n, tmp);
}

static void pack_trans(const job * j, char * out, const float * x, int64_t ld, int n, char * tmp) {
    ck_right b   = {x, (size_t) ld * sizeof(float), CK_F32, true, 1};
    int      dim = j->a->dim;
    for (int r = 0; r < n; r += CK_NR) {
        j->s->right_trans(j->s, out + ck_panel_bytes(j->s, r, dim), &b, dim, r, ck_min(CK_NR, n - r), 0, dim, tmp);
    }
}

// statistics keeps lse and delta of a block of queries of head h. Of d_o it reads what the products do: then delta is Σ p·dp
// of the dp that it is subtracted from, and little is left where attention is on few keys.
static void statistics(const job * j, const room * w, int h, int block) {
    const ck_attn * a = j->a;
    for (int i = j->first[block]; i < j->first[block + 1]; i++) {
        const float * g = j->d_o + i * j->lddo + h * a->dim;
        if (j->s->round != NULL) {
            j->s->round((float *) w->tmp, g, a->dim);
            g = (const float *) w->tmp;
        }
        j->lse_of[h * a->t + i] = j->lse[i * a->heads + h];
        j->delta[h * a->t + i]  = j->s->tiles->dot(j->o + i * j->ldo + h * a->dim, g, a->dim);
    }
}

// pack_block packs one block for one kv head.
static void pack_block(const job * j, const room * w, int kv, int block) {
    const ck_attn * a  = j->a;
    int             i0 = j->first[block], n = size_of(j, block), dim = a->dim;
    const float *k = a->k + i0 * a->ldk + kv * dim, *v = a->v + i0 * a->ldv + kv * dim;
    pack_left(j, form(j, w, kv, K_LEFT, block), k, a->ldk, 1, n, dim);
    if (!j->back) {
        pack_right(j, form(j, w, kv, V_RIGHT, block), v, a->ldv, n, w->tmp);
        return;
    }
    pack_left(j, form(j, w, kv, V_LEFT, block), v, a->ldv, 1, n, dim);
    pack_right(j, form(j, w, kv, K_RIGHT, block), k, a->ldk, n, w->tmp);
    for (int h = kv * j->group; h < (kv + 1) * j->group; h++) {
        const float *q = a->q + i0 * a->ldq + h * dim, *g = j->d_o + i0 * j->lddo + h * dim;
        pack_trans(j, q_form(j, w, h, Q_TRANS, block), q, a->ldq, n, w->tmp);
        pack_right(j, q_form(j, w, h, Q_RIGHT, block), q, a->ldq, n, w->tmp);
        pack_trans(j, q_form(j, w, h, G_TRANS, block), g, j->lddo, n, w->tmp);
        pack_right(j, q_form(j, w, h, G_RIGHT, block), g, j->lddo, n, w->tmp);
        statistics(j, w, h, block);
    }
}

static void pack_chunk(void * arg, int chunk, int thread) {
    const job * j     = arg;
    int         block = chunk / j->kv_n;
    room        w;
    room_of(j, ck_scratch_of(j->pool, thread), &w);
    if (j->home[block] < 0) {
        pack_block(j, &w, j->kv0 + chunk % j->kv_n, block);
    }
}

// begin_unit is what the chunks of both passes begin with: a unit and a kv head.
static int begin_unit(const job * j, room * w, int chunk, int thread, int * kv) {
    int unit = chunk / j->kv_n;
    *kv      = j->kv0 + chunk % j->kv_n;
    room_of(j, ck_scratch_of(j->pool, thread), w);
    for (int b = j->unit[unit]; b < j->unit[unit + 1] && j->home[b] >= 0; b++) {
        pack_block(j, w, *kv, b);
    }
    ck_begin(j->s);
    return unit;
}

// next_keys is the first block of keys after kb that queries qb see; it is above qb when there is none. A block lies in the
// prefix or behind it, never in both.
static int next_keys(const job * j, int qb, int kb) { return kb + 1 < j->prefix ? kb + 1 : ck_max(kb + 1, j->from[qb]); }

typedef struct {
    _Alignas(64) float lo[CK_SCORES_MAX];
    float hi[CK_SCORES_MAX];
} limits;

// scores_of describes the block of scores s of queries qb and keys kb.
static ck_scores scores_of(const job * j, float * s, int qb, int kb, limits * l) {
    const ck_attn * a  = j->a;
    int             i0 = j->first[qb], m = size_of(j, qb), j0 = j->first[kb], n = size_of(j, kb), wide = ck_round_up(m, CK_NR);
    for (int i = 0; i < m; i++) {
        l->lo[i] = (float) (kb < j->prefix ? 0 : ck_min(ck_max(a->start[i0 + i] - j0, 0), n));
        l->hi[i] = (float) ck_min(i0 + i + 1 - j0, n);
    }
    for (int i = m; i < wide; i++) {
        l->lo[i] = (float) n;
        l->hi[i] = 0;
    }
    return (ck_scores) {s, j->s->block, n, wide, l->lo, l->hi, a->scale};
}

// multiply_scores: c = x·yᵀ for the packed keys x of block kb and the queries y of block qb, without tiles whose queries all
// come before their keys.
static void multiply_scores(const job * j, float * c, const char * x, const char * y, int qb, int kb) {
    const ck_panels * s = j->s;
    int               m = ck_round_up(size_of(j, qb), CK_NR), n = ck_round_up(size_of(j, kb), s->mr), dim = j->a->dim, ld = s->block;
    if (kb < qb) {
        s->multiply(s, c, ld, x, y, n, m, dim, false);
        return;
    }
    for (int r = 0; r < n; r += s->mr) {
        int i = r / CK_NR * CK_NR;
        s->multiply(s, c + r * ld + i, ld, x + ck_panel_bytes(s, r, dim), y + ck_panel_bytes(s, i, dim), s->mr, m - i, dim, false);
    }
}

// pack_scores packs n rows of x(i,l) = x[i*rs + l*cs], kl steps, one of the lefts of the room.
static const char * pack_scores(const job * j, const room * w, int which, const float * x, int64_t rs, int64_t cs, int n, int kl) {
    char * out = w->left + (size_t) which * ck_panel_bytes(j->s, j->s->block, j->s->block);
    pack_left(j, out, x, rs, cs, n, kl);
    return out;
}

// accumulate: acc [n,wide] = or += x·y, both packed, kl steps.
static void accumulate(const job * j, float * acc, const char * x, const char * y, int n, int kl, bool add) {
    j->s->multiply(j->s, acc, j->wide, x, y, ck_round_up(n, j->s->mr), j->wide, kl, add);
}

// forward_block computes o and lse of queries qb of head h.
static void forward_block(const job * j, const room * w, int h, int qb) {
    const ck_attn *  a     = j->a;
    const ck_tiles * tiles = j->s->tiles;
    int              kv = h / j->group, dim = a->dim, i0 = j->first[qb], m = size_of(j, qb), ld = j->s->block;
    _Alignas(64) float top[CK_SCORES_MAX], sum[CK_SCORES_MAX], shrink[CK_SCORES_MAX];
    limits           l;
    for (int i = 0; i < ld; i++) {
        top[i] = -1e30f; // below any score, and no infinity, whose differences are not numbers
        sum[i] = 0;
    }
    pack_trans(j, w->q, a->q + i0 * a->ldq + h * dim, a->ldq, m, w->tmp);
    bool add = false;
    for (int kb = next_keys(j, qb, -1); kb <= qb; kb = next_keys(j, qb, kb)) {
        multiply_scores(j, w->s, form(j, w, kv, K_LEFT, kb), w->q, qb, kb);
        ck_scores b = scores_of(j, w->s, qb, kb, &l);
        tiles->softmax(&b, top, sum, shrink);
        for (int i = 0; i < m && add; i++) {
            if (shrink[i] != 1) {
                tiles->scale_row(w->acc + i * j->wide, w->acc + i * j->wide, shrink[i], j->wide);
            }
        }
        accumulate(j, w->acc, pack_scores(j, w, OF_P, w->s, 1, ld, m, b.keys), form(j, w, kv, V_RIGHT, kb), m, b.keys, add);
        add = true;
    }
    for (int i = 0; i < m; i++) {
        j->lse_out[(i0 + i) * a->heads + h] = top[i] + logf(sum[i]);
        tiles->scale_row(j->out + (i0 + i) * j->ldo + h * dim, w->acc + i * j->wide, 1 / sum[i], dim);
    }
}

static void forward_chunk(void * arg, int chunk, int thread) {
    const job * j = arg;
    room        w;
    int         kv, unit = begin_unit(j, &w, chunk, thread, &kv);
    for (int qb = j->unit[unit]; qb < j->unit[unit + 1]; qb++) {
        for (int h = kv * j->group; h < (kv + 1) * j->group; h++) {
            forward_block(j, &w, h, qb);
        }
    }
    ck_end(j->s);
}

// score_back computes pᵀ and dsᵀ of head h for queries qb and keys kb into w->s and w->ds; 0 where the mask is.
static void score_back(const job * j, const room * w, int h, int qb, int kb) {
    int    kv = h / j->group;
    size_t at = (size_t) h * (size_t) j->a->t + (size_t) j->first[qb];
    limits l;
    multiply_scores(j, w->s, form(j, w, kv, K_LEFT, kb), q_form(j, w, h, Q_TRANS, qb), qb, kb);
    multiply_scores(j, w->ds, form(j, w, kv, V_LEFT, kb), q_form(j, w, h, G_TRANS, qb), qb, kb);
    ck_scores b = scores_of(j, w->s, qb, kb, &l);
    j->s->tiles->score_back(&b, w->ds, j->lse_of + at, j->delta + at);
}

static float * dq_of(const job * j, const room * w, int unit, int qb, int h) {
    return w->dq + (size_t) ((qb - j->unit[unit]) * j->group + h % j->group) * (size_t) j->s->block * (size_t) j->wide;
}

// pair_back adds to dq what keys kb give to queries qb of all heads of a kv head, and with keys to dk and dv what queries qb give.
static void pair_back(const job * j, const room * w, int unit, int kv, int qb, int kb, bool add_q, bool keys, bool add_k) {
    int  m = size_of(j, qb), n = size_of(j, kb), ld = j->s->block;
    bool queries = qb < j->unit[unit + 1];
    for (int h = kv * j->group; h < (kv + 1) * j->group; h++) {
        const char *p = NULL, *ds = NULL, *dst = NULL;
        score_back(j, w, h, qb, kb);
        if (keys) {
            p   = pack_scores(j, w, OF_P, w->s, ld, 1, n, m);
            dst = pack_scores(j, w, OF_DST, w->ds, ld, 1, n, m);
        }
        if (queries) {
            ds = pack_scores(j, w, OF_DS, w->ds, 1, ld, m, n);
        }
        if (keys) {
            accumulate(j, w->acc, p, q_form(j, w, h, G_RIGHT, qb), n, m, add_k);
            accumulate(j, w->dk, dst, q_form(j, w, h, Q_RIGHT, qb), n, m, add_k);
            add_k = true;
        }
        if (queries) {
            accumulate(j, dq_of(j, w, unit, qb, h), ds, form(j, w, kv, K_RIGHT, kb), m, n, add_q);
        }
    }
}

static void copy_out(const job * j, float * out, int64_t ld, const float * acc, int n) {
    for (int i = 0; i < n; i++) {
        memcpy(out + i * ld, acc + i * j->wide, (size_t) j->a->dim * sizeof(float));
    }
}

static void backward_chunk(void * arg, int chunk, int thread) {
    const job *     j = arg;
    const ck_attn * a = j->a;
    bool            add_q[UNIT] = {false};
    room            w;
    int             kv, unit = begin_unit(j, &w, chunk, thread, &kv), b0 = j->unit[unit], b1 = j->unit[unit + 1];
    for (int qb = b0; qb < b1; qb++) {
        for (int kb = next_keys(j, qb, -1); kb < b0; kb = next_keys(j, qb, kb)) {
            pair_back(j, &w, unit, kv, qb, kb, add_q[qb - b0], false, false);
            add_q[qb - b0] = true;
        }
    }
    for (int kb = b0; kb < b1; kb++) {
        for (int qb = kb; qb < j->blocks && (kb < j->prefix || kb >= j->from[qb]); qb++) {
            pair_back(j, &w, unit, kv, qb, kb, qb < b1 && add_q[qb - b0], true, qb > kb);
            if (qb < b1) {
                add_q[qb - b0] = true;
            }
        }
        copy_out(j, j->dv + j->first[kb] * a->ldv + kv * a->dim, a->ldv, w.acc, size_of(j, kb));
        copy_out(j, j->dk + j->first[kb] * a->ldk + kv * a->dim, a->ldk, w.dk, size_of(j, kb));
    }
    ck_end(j->s);
    for (int qb = b0; qb < b1; qb++) {
        for (int h = kv * j->group; h < (kv + 1) * j->group; h++) {
            copy_out(j, j->out + j->first[qb] * a->ldq + h * a->dim, a->ldq, dq_of(j, &w, unit, qb, h), size_of(j, qb));
        }
    }
}

// cut finds the blocks, of each segment as many full ones as there are and the rest, and lists them when first is not NULL.
static void cut(job * j) {
    const ck_attn *   a = j->a;
    const ck_panels * s = j->s;
    j->blocks           = 0;
    j->rows             = 0;
    for (int i = 0; i < a->t; j->blocks++) {
        int begin = i;
        for (i++; i < a->t && a->start[i] != i && i - begin < s->block; i++) {
        }
        if (j->first != NULL) {
            j->first[j->blocks]     = begin;
            j->first[j->blocks + 1] = i;
            j->at[j->blocks]        = j->rows;
        }
        int n = i - begin;
        j->rows += ck_max(ck_round_up(n, s->mr), ck_max(ck_round_up(n, s->kr), ck_round_up(n, CK_NR)));
    }
}

// cut_units finds what cut has left: units and which of them fill a segment, the first block of keys of each block, and the
// blocks of the prefix.
static void cut_units(job * j) {
    const int32_t * start = j->a->start;
    for (int b = 0, k = 0; b < j->blocks; b++) {
        int i = j->first[b];
        if (start[i] == i || b - j->unit[j->units - 1] == UNIT) {
            j->unit[j->units++] = b;
        }
        while (j->first[k + 1] <= start[i]) {
            k++;
        }
        j->from[b] = k;
        j->prefix += i < j->a->prefix;
    }
    j->unit[j->units] = j->blocks;
    for (int u = 0; u < j->units; u++) {
        int  b0 = j->unit[u], b1 = j->unit[u + 1], i0 = j->first[b0], i1 = j->first[b1];
        bool whole = start[i0] == i0 && (b1 == j->blocks || start[i1] == i1);
        bool seen  = b0 < j->prefix || (j->back && j->prefix > 0); // by others: keys of the prefix, whose gradient reads all queries
        for (int b = b0; b < b1; b++) {
            j->home[b] = whole && !seen ? b0 : -1;
        }
    }
}

static size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

// prepare cuts the blocks, reserves scratch, and sets how many kv heads are packed at a time.
static bool prepare(job * j) {
    const ck_attn * a     = j->a;
    size_t          stats = j->back ? (size_t) a->t * (size_t) a->heads + CK_NR : 0; // vectors may read past the last query
    room            w;
    j->group     = a->heads / a->kv_heads;
    j->wide      = ck_round_up(a->dim, CK_NR);
    j->row_bytes = aligned((size_t) ck_max(ck_round_up(a->dim, j->s->kr), j->wide) * (size_t) j->s->bytes);
    j->forms     = j->back ? Q_FORMS + j->group * FORMS_OF_Q : FORWARD_FORMS;
    cut(j);
    size_t kv    = (size_t) j->forms * (size_t) j->rows * j->row_bytes;
    size_t ints  = aligned((5 * (size_t) j->blocks + 2) * sizeof(int)), row = aligned(stats * sizeof(float));
    j->kv_step   = ck_max(ck_min((int) (PACKED_MAX / kv), a->kv_heads), 1);
    char * all   = ck_scratch(j->pool, ck_threads(j->pool), ints + 2 * row + kv * (size_t) j->kv_step);
    if (all == NULL || !ck_scratch_all(j->pool, room_of(j, NULL, &w))) {
        return false;
    }
    if (ck_dry(j->pool)) {
        return true;
    }
    j->first  = (int *) all;
    j->from   = j->first + j->blocks + 1;
    j->home   = j->from + j->blocks;
    j->at     = j->home + j->blocks;
    j->unit   = j->at + j->blocks;
    j->lse_of = (float *) (all + ints);
    j->delta  = (float *) (all + ints + row);
    j->packed = all + ints + 2 * row;
    cut(j);
    cut_units(j);
    return true;
}

static int run(job * j) {
    const ck_attn * a = j->a;
    if (!prepare(j)) {
        return CK_NOMEM;
    }
    for (j->kv0 = 0; j->kv0 < a->kv_heads; j->kv0 += j->kv_n) {
        j->kv_n = ck_min(j->kv_step, a->kv_heads - j->kv0);
        ck_run(j->pool, pack_chunk, j, j->kv_n * j->blocks);
        ck_run(j->pool, j->back ? backward_chunk : forward_chunk, j, j->kv_n * j->units);
    }
    return CK_OK;
}

int ck_blocked_attention(ck_pool * p, const ck_panels * s, const ck_attn * a, float * o, int64_t ldo, float * lse) {
    job j = {.a = a, .s = s, .pool = p, .out = o, .ldo = ldo, .lse_out = lse};
    return run(&j);
}

int ck_blocked_attention_back(ck_pool * p, const ck_panels * s, const ck_attn * a, const float * o, int64_t ldo, const float * lse,
                              const float * d_o, int64_t lddo, float * dq, float * dk, float * dv) {
    job j = {.a = a, .s = s, .pool = p, .back = true, .out = dq, .o = o, .ldo = ldo, .lse = lse, .d_o = d_o, .lddo = lddo, .dk = dk, .dv = dv};
    return run(&j);
}
