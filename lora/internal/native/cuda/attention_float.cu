// Attention in float (FlashAttention-2, arXiv:2307.08691): what a precise card
// uses, and cards whose tensor cores do not know BF16. A warp owns rows, its
// lanes are the 32 rows of the other side's tile; so sums over a tile are sums
// over a warp. The backward pass has a kernel for dq and one for dk and dv:
// every output has one writer, and sums have one order.
#include "attention.cuh"

static const int FLOAT_THREADS = 128, FLOAT_WARPS = 4, FLOAT_TILE = 32;

// float_sizes: a block owns ROWS rows, of which a warp has EACH; a lane has COLS of the D values of a row.
template <int D, int ROWS_> struct float_sizes {
    static const int ROWS = ROWS_, EACH = ROWS_ / FLOAT_WARPS, COLS = D / 32, LD = D + 1;
    static const int SHARED_FORWARD  = (ROWS * LD + FLOAT_TILE * LD + ROWS * 33) * 4;
    static const int SHARED_BACKWARD = (2 * ROWS * LD + FLOAT_TILE * LD + 2 * ROWS * 33) * 4;
};

// load_tile copies rows [first, first + rows) of x, at most t in all, into shared memory; what is beyond is zero.
template <int D> __device__ static inline void load_tile(float * to, const float * x, int64_t ld, int first, int rows, int t, int dim) {
    for (int i = threadIdx.x; i < rows * D; i += FLOAT_THREADS) {
        int r = i / D, d = i % D;
        to[r * (D + 1) + d] = first + r < t && d < dim ? x[(int64_t) (first + r) * ld + d] : 0;
    }
}

template <int D> __device__ static inline float dot_tile(const float * a, const float * b) {
    float s = 0;
#pragma unroll 8
    for (int d = 0; d < D; d++) {
        s += a[d] * b[d];
    }
    return s;
}

// sum_tile adds weights [rows of the warp, 32]·tile to sums.
template <class S> __device__ static inline void sum_tile(float (&sum)[S::EACH][S::COLS], const float * weights, const float * tile, int warp, int lane) {
    for (int l = 0; l < FLOAT_TILE; l++) {
        float x[S::COLS];
#pragma unroll
        for (int j = 0; j < S::COLS; j++) {
            x[j] = tile[l * S::LD + lane + 32 * j];
        }
#pragma unroll
        for (int i = 0; i < S::EACH; i++) {
            float w = weights[(warp + FLOAT_WARPS * i) * 33 + l];
#pragma unroll
            for (int j = 0; j < S::COLS; j++) {
                sum[i][j] += w * x[j];
            }
        }
    }
}

template <class S> __device__ static inline void write_rows(float * out, int64_t ld, const float (&sum)[S::EACH][S::COLS], int first, int t, int dim, int warp, int lane) {
    for (int i = 0; i < S::EACH; i++) {
        int row = first + warp + FLOAT_WARPS * i;
        for (int j = 0; j < S::COLS; j++) {
            if (row < t && lane + 32 * j < dim) {
                out[(int64_t) row * ld + lane + 32 * j] = sum[i][j];
            }
        }
    }
}

// A block for a tile of queries of one head.
template <int D, class S> __global__ void __launch_bounds__(FLOAT_THREADS) float_forward(attn_args a) {
    SHARED(float, q);
    float * kv = q + S::ROWS * S::LD;
    float * p  = kv + FLOAT_TILE * S::LD;
    int     warp = threadIdx.x / 32, lane = threadIdx.x % 32, head = a.head0 + blockIdx.y, own = head / a.group;
    int     first = (int) (gridDim.x - 1 - blockIdx.x) * S::ROWS, end = min(first + S::ROWS, a.t); // long ones first
    float   sum[S::EACH][S::COLS] = {}, most[S::EACH], total[S::EACH];
    load_tile<D>(q, a.q + head * a.dim, a.ldq, first, S::ROWS, a.t, a.dim);
    for (int i = 0; i < S::EACH; i++) {
        most[i]  = -INFINITY;
        total[i] = 0;
    }
    for (int tile = next_tile(a, 0, FLOAT_TILE, first); tile * FLOAT_TILE < end; tile = next_tile(a, tile + 1, FLOAT_TILE, first)) {
        int key = tile * FLOAT_TILE + lane;
        __syncthreads();
        load_tile<D>(kv, a.k + own * a.dim, a.ldk, tile * FLOAT_TILE, FLOAT_TILE, a.t, a.dim);
        __syncthreads();
#pragma unroll
        for (int i = 0; i < S::EACH; i++) {
            int   row = warp + FLOAT_WARPS * i, query = first + row;
            bool  seen = query < a.t && sees(query, key, a.start[min(query, a.t - 1)], a.prefix);
            float s    = seen ? a.scale * dot_tile<D>(q + row * S::LD, kv + lane * S::LD) : -INFINITY;
            float m    = fmaxf(most[i], warp_max(s)), base = m == -INFINITY ? 0 : m, shrink = expf(most[i] - base);
            float e    = expf(s - base);
            total[i]   = total[i] * shrink + warp_sum(e);
            most[i]    = m;
            p[row * 33 + lane] = e;
#pragma unroll
            for (int j = 0; j < S::COLS; j++) {
                sum[i][j] *= shrink;
            }
        }
        __syncthreads();
        load_tile<D>(kv, a.v + own * a.dim, a.ldv, tile * FLOAT_TILE, FLOAT_TILE, a.t, a.dim);
        __syncthreads();
        sum_tile<S>(sum, p, kv, warp, lane);
    }
    for (int i = 0; i < S::EACH; i++) {
        int query = first + warp + FLOAT_WARPS * i;
        for (int j = 0; j < S::COLS; j++) {
            sum[i][j] /= total[i];
        }
        if (query < a.t && lane == 0) {
            a.lse[(int64_t) query * a.heads + head] = most[i] + logf(total[i]);
        }
    }
    write_rows<S>(a.o + head * a.dim, a.ldo, sum, first, a.t, a.dim, warp, lane);
}

// A block for dq of a tile of queries of one head.
template <int D, class S> __global__ void __launch_bounds__(FLOAT_THREADS) float_back_q(attn_args a) {
    SHARED(float, q);
    float * g    = q + S::ROWS * S::LD;
    float * kv   = g + S::ROWS * S::LD;
    float * ds   = kv + FLOAT_TILE * S::LD;
    int     warp = threadIdx.x / 32, lane = threadIdx.x % 32, head = a.head0 + blockIdx.y, own = head / a.group;
    int     first = (int) (gridDim.x - 1 - blockIdx.x) * S::ROWS, end = min(first + S::ROWS, a.t);
    float   sum[S::EACH][S::COLS] = {};
    load_tile<D>(q, a.q + head * a.dim, a.ldq, first, S::ROWS, a.t, a.dim);
    load_tile<D>(g, a.d_o + head * a.dim, a.lddo, first, S::ROWS, a.t, a.dim);
    for (int tile = next_tile(a, 0, FLOAT_TILE, first); tile * FLOAT_TILE < end; tile = next_tile(a, tile + 1, FLOAT_TILE, first)) {
        int   key = tile * FLOAT_TILE + lane;
        float p[S::EACH];
        __syncthreads();
        load_tile<D>(kv, a.k + own * a.dim, a.ldk, tile * FLOAT_TILE, FLOAT_TILE, a.t, a.dim);
        __syncthreads();
#pragma unroll
        for (int i = 0; i < S::EACH; i++) {
            int  row = warp + FLOAT_WARPS * i, query = first + row;
            bool seen = query < a.t && sees(query, key, a.start[min(query, a.t - 1)], a.prefix);
            p[i] = seen ? expf(a.scale * dot_tile<D>(q + row * S::LD, kv + lane * S::LD) - a.lse[(int64_t) query * a.heads + head]) : 0;
        }
        __syncthreads();
        load_tile<D>(kv, a.v + own * a.dim, a.ldv, tile * FLOAT_TILE, FLOAT_TILE, a.t, a.dim);
        __syncthreads();
#pragma unroll
        for (int i = 0; i < S::EACH; i++) {
            int   row = warp + FLOAT_WARPS * i, query = min(first + row, a.t - 1);
            float dp = dot_tile<D>(g + row * S::LD, kv + lane * S::LD);
            ds[row * 33 + lane] = p[i] * (dp - a.delta[(int64_t) blockIdx.y * a.t + query]) * a.scale;
        }
        __syncthreads();
        load_tile<D>(kv, a.k + own * a.dim, a.ldk, tile * FLOAT_TILE, FLOAT_TILE, a.t, a.dim);
        __syncthreads();
        sum_tile<S>(sum, ds, kv, warp, lane);
    }
    write_rows<S>(a.dq + head * a.dim, a.ldq, sum, first, a.t, a.dim, warp, lane);
}

// A block for dk and dv of a tile of keys of one kv head: over all queries that see one of them, head by head.
template <int D, class S> __global__ void __launch_bounds__(FLOAT_THREADS) float_back_kv(attn_args a) {
    SHARED(float, k);
    float * v    = k + S::ROWS * S::LD;
    float * qg   = v + S::ROWS * S::LD;
    float * ds   = qg + FLOAT_TILE * S::LD;
    float * ps   = ds + S::ROWS * 33;
    int     warp = threadIdx.x / 32, lane = threadIdx.x % 32, own = a.kv0 + blockIdx.y, first = (int) blockIdx.x * S::ROWS;
    int     to = last_query(a, first, min(first + S::ROWS, a.t));
    float   dk[S::EACH][S::COLS] = {}, dv[S::EACH][S::COLS] = {};
    load_tile<D>(k, a.k + own * a.dim, a.ldk, first, S::ROWS, a.t, a.dim);
    load_tile<D>(v, a.v + own * a.dim, a.ldv, first, S::ROWS, a.t, a.dim);
    for (int head = own * a.group; head < (own + 1) * a.group; head++) {
        const float * delta = a.delta + (int64_t) (head - a.head0) * a.t;
        for (int from = first / FLOAT_TILE * FLOAT_TILE; from < to; from += FLOAT_TILE) {
            int   query = from + lane, at = min(query, a.t - 1), start = a.start[at];
            float p[S::EACH], lse = a.lse[(int64_t) at * a.heads + head];
            __syncthreads();
            load_tile<D>(qg, a.q + head * a.dim, a.ldq, from, FLOAT_TILE, a.t, a.dim);
            __syncthreads();
#pragma unroll
            for (int i = 0; i < S::EACH; i++) {
                int row = warp + FLOAT_WARPS * i;
                p[i]    = query < a.t && sees(query, first + row, start, a.prefix) ? expf(a.scale * dot_tile<D>(k + row * S::LD, qg + lane * S::LD) - lse) : 0;
            }
            __syncthreads();
            load_tile<D>(qg, a.d_o + head * a.dim, a.lddo, from, FLOAT_TILE, a.t, a.dim);
            __syncthreads();
#pragma unroll
            for (int i = 0; i < S::EACH; i++) {
                int row             = warp + FLOAT_WARPS * i;
                ds[row * 33 + lane] = p[i] * (dot_tile<D>(v + row * S::LD, qg + lane * S::LD) - delta[at]) * a.scale;
                ps[row * 33 + lane] = p[i];
            }
            __syncwarp();
            sum_tile<S>(dv, ps, qg, warp, lane);
            __syncthreads();
            load_tile<D>(qg, a.q + head * a.dim, a.ldq, from, FLOAT_TILE, a.t, a.dim);
            __syncthreads();
            sum_tile<S>(dk, ds, qg, warp, lane);
        }
    }
    write_rows<S>(a.dk + own * a.dim, a.ldk, dk, first, a.t, a.dim, warp, lane);
    write_rows<S>(a.dv + own * a.dim, a.ldv, dv, first, a.t, a.dim, warp, lane);
}

template <class K> static int launch_float(cd_card * c, const char * what, K kernel, int rows, int heads, int shared, const attn_args & a) {
    c->ok(cudaFuncSetAttribute((const void *) kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared), what);
    LAUNCH(c, what, kernel, dim3(blocks_for(a.t, rows), (unsigned) heads), FLOAT_THREADS, (size_t) shared, a);
    return c->failed;
}

template <int D> static int attention_float_of(cd_card * c, const attn_args & a, int kv_heads, bool back) {
    typedef float_sizes<D, (D <= 128 ? 32 : 16)> forward;
    typedef float_sizes<D, (D <= 128 ? 16 : 8)>  backward;
    int heads = kv_heads * a.group;
    if (!back) {
        return launch_float(c, "attention", float_forward<D, forward>, forward::ROWS, heads, forward::SHARED_FORWARD, a);
    }
    LAUNCH(c, "attention_back", delta_rows<false>, dim3(blocks_for(a.t, 8), (unsigned) heads), 256, 0, a);
    launch_float(c, "attention_back", float_back_q<D, backward>, backward::ROWS, heads, backward::SHARED_BACKWARD, a);
    return launch_float(c, "attention_back", float_back_kv<D, backward>, backward::ROWS, kv_heads, backward::SHARED_BACKWARD, a);
}

int attention_float(cd_card * c, const attn_args & a, int kv_heads, int padded, bool back) {
    switch (padded) {
        case 32: return attention_float_of<32>(c, a, kv_heads, back);
        case 64: return attention_float_of<64>(c, a, kv_heads, back);
        case 96: return attention_float_of<96>(c, a, kv_heads, back);
        case 128: return attention_float_of<128>(c, a, kv_heads, back);
        case 192: return attention_float_of<192>(c, a, kv_heads, back);
        case 256: return attention_float_of<256>(c, a, kv_heads, back);
    }
    return CK_SHAPE;
}
