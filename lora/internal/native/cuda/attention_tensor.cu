// Attention on tensor cores (FlashAttention-2, arXiv:2307.08691): operands BF16,
// sums, softmax, lse and delta float. A warp owns 16 rows and goes over tiles of
// the other side; scores stay in its registers, from which they are the left
// operand of the next product.
//
// The forward pass multiplies in two parts, x ≈ h + l with h = bf16(x) and l =
// bf16(x - h): x·y ≈ h·h' + l·h' + h·l'. There the rounding of one part shows in
// the loss, and it is a small share of the work (lora/DESIGN.md, "Where rounding
// shows"). The backward pass has one part, and a kernel for dq beside one for dk
// and dv, so that every output has one writer and sums have one order.
#include "attention.cuh"

static const float LOG2E = 1.4426950408889634f, LN2 = 0.6931471805599453f;

// tensor_args adds the heads at once, copied without gaps: [head, t, D] in BF16. l is the low part.
struct tensor_args {
    attn_args    a;
    const bf16 * q;
    const bf16 * ql;
    const bf16 * k;
    const bf16 * kl;
    const bf16 * v;
    const bf16 * vl;
    const bf16 * g; // d_o
    POINTERS(a, q, ql, k, kl, v, vl, g)
};

// copy_head makes such a copy: row i is token i%t of head i/t; columns from dim on are zero.
struct copy_head {
    bf16 *        high;
    bf16 *        low; // or null
    const float * x;
    int64_t       ld;
    int           t, dim, padded;
    POINTERS(high, low, x)
    __device__ void operator()(int64_t i, int64_t j) const {
        int     head = (int) i / t, row = (int) i % t;
        int64_t at = i * padded + j;
        float   v = j < dim ? x[(int64_t) row * ld + head * dim + j] : 0;
        bf16    h = __float2bfloat16(v);
        high[at]  = h;
        if (low != nullptr) {
            low[at] = __float2bfloat16(v - __bfloat162float(h));
        }
    }
};

// In shared memory a row has 8 values more, so that the 8 rows of a matrix lie in different banks.
template <int D> struct tile_of {
    static const int LD = D + 8;

    // load begins to copy rows [first, first + ROWS) of a head; rows beyond its end repeat the last and are masked later.
    template <int ROWS, int THREADS> __device__ static void load(bf16 * to, const bf16 * head, int first, int t) {
        for (int i = threadIdx.x; i < ROWS * (D / 8); i += THREADS) {
            int r = i / (D / 8), c = i % (D / 8) * 8;
            copy_async(to + r * LD + c, head + (int64_t) min(first + r, t - 1) * D + c);
        }
    }
    // left: rows [row, row+16) and columns [col, col+16) as a left operand.
    __device__ static void left(uint32_t (&out)[4], const bf16 * tile, int row, int col) {
        int l = threadIdx.x % 32;
        load_matrix<false>(out, tile + (row + l % 16) * LD + col + l / 16 * 8);
    }
    // right: the transpose of rows [row, row+16) and columns [col, col+16) as right operands, 8 rows of the tile each.
    __device__ static void right(uint32_t (&out)[4], const bf16 * tile, int row, int col) {
        int l = threadIdx.x % 32;
        load_matrix<false>(out, tile + (row + l / 16 * 8 + l % 8) * LD + col + l / 8 % 2 * 8);
    }
    // down: rows [row, row+16) and columns [col, col+16) as right operands, 8 columns each.
    __device__ static void down(uint32_t (&out)[4], const bf16 * tile, int row, int col) {
        int l = threadIdx.x % 32;
        load_matrix<true>(out, tile + (row + l % 16) * LD + col + l / 16 * 8);
    }
};

// scores: s [16, N] += rows·tileᵀ over D, rows of this warp from row on.
template <int D, int N> __device__ static inline void scores(float (&s)[N / 8][4], const bf16 * rows, int row, const bf16 * tile) {
#pragma unroll
    for (int d = 0; d < D; d += 16) {
        uint32_t a[4], b[4];
        tile_of<D>::left(a, rows, row, d);
#pragma unroll
        for (int n = 0; n < N; n += 16) {
            tile_of<D>::right(b, tile, n, d);
            mma_bf16(s[n / 8], a, b);
            mma_bf16(s[n / 8 + 1], a, b + 2);
        }
    }
}

// left_of makes the left operand for rows [n, n+16) of a tile from what a product left in s.
template <int N> __device__ static inline void left_of(uint32_t (&a)[4], const float (&s)[N / 8][4], int n) {
    const float * x = s[n / 8];
    const float * y = s[n / 8 + 1];
    a[0] = pack_bf16(x[0], x[1]);
    a[1] = pack_bf16(x[2], x[3]);
    a[2] = pack_bf16(y[0], y[1]);
    a[3] = pack_bf16(y[2], y[3]);
}

// sum_rows: sum [16, D] += s·tile, s [16, N].
template <int D, int N> __device__ static inline void sum_rows(float (&sum)[D / 8][4], const float (&s)[N / 8][4], const bf16 * tile) {
#pragma unroll
    for (int n = 0; n < N; n += 16) {
        uint32_t a[4], b[4];
        left_of<N>(a, s, n);
#pragma unroll
        for (int d = 0; d < D; d += 16) {
            tile_of<D>::down(b, tile, n, d);
            mma_bf16(sum[d / 8], a, b);
            mma_bf16(sum[d / 8 + 1], a, b + 2);
        }
    }
}

// low_of is what rounding to BF16 took off.
__device__ static inline float low_of(float v) { return v - __bfloat162float(__float2bfloat16(v)); }

// Value e of fragment n of what a product left: row e/2 of the two of this lane, column 8n + 2·(lane%4) + e%2.
__device__ static inline int fragment_row(int e) { return threadIdx.x % 32 / 4 + 8 * (e / 2); }
__device__ static inline int fragment_col(int n, int e) { return 8 * n + 2 * (threadIdx.x % 4) + e % 2; }

template <int D> __device__ static inline void write_sums(float * out, int64_t ld, const float (&sum)[D / 8][4], int first, int t, int dim) {
#pragma unroll
    for (int n = 0; n < D / 8; n++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int row = first + fragment_row(e), col = fragment_col(n, e);
            if (row < t && col < dim) {
                out[(int64_t) row * ld + col] = sum[n][e];
            }
        }
    }
}

// tensor_sizes: a block owns ROWS rows, 16 a warp, and goes over tiles of TILE rows of the other side.
template <int D, bool BACK> struct tensor_sizes {
    static const int WARPS = !BACK && D > 128 ? 2 : 4, THREADS = 32 * WARPS, ROWS = 16 * WARPS, TILE = D <= 64 ? 64 : 32, LD = D + 8;
    static const int SHARED = (2 * ROWS + (BACK ? 2 : 4) * TILE) * LD * 2;
};

// soften turns scores into what the softmax sums, with the largest so far.
template <int N, int D> __device__ static inline void soften(float (&s)[N / 8][4], float (&sum)[D / 8][4], float (&most)[2], float (&total)[2], float scale) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float m = most[h];
#pragma unroll
        for (int n = 0; n < N / 8; n++) {
            m = fmaxf(m, fmaxf(s[n][2 * h], s[n][2 * h + 1]) * scale);
        }
        m = fmaxf(m, __shfl_xor_sync(FULL, m, 1));
        m = fmaxf(m, __shfl_xor_sync(FULL, m, 2));
        float base = m == -INFINITY ? 0 : m, shrink = fast_exp2(most[h] - base), part = 0;
#pragma unroll
        for (int n = 0; n < N / 8; n++) {
            s[n][2 * h]     = fast_exp2(s[n][2 * h] * scale - base);
            s[n][2 * h + 1] = fast_exp2(s[n][2 * h + 1] * scale - base);
            part += s[n][2 * h] + s[n][2 * h + 1];
        }
#pragma unroll
        for (int n = 0; n < D / 8; n++) {
            sum[n][2 * h] *= shrink;
            sum[n][2 * h + 1] *= shrink;
        }
        total[h] = total[h] * shrink + part; // of this lane's columns
        most[h]  = m;
    }
}

// A block for a tile of queries of one head.
template <int D> __global__ void __launch_bounds__(tensor_sizes<D, false>::THREADS) tensor_forward(tensor_args x) {
    typedef tensor_sizes<D, false> S;
    typedef tile_of<D>             T;
    SHARED(bf16, q);
    bf16 *            ql = q + S::ROWS * S::LD;
    bf16 *            k  = ql + S::ROWS * S::LD;
    bf16 *            kl = k + S::TILE * S::LD;
    bf16 *            v  = kl + S::TILE * S::LD;
    bf16 *            vl = v + S::TILE * S::LD;
    const attn_args & a  = x.a;
    int               row = threadIdx.x / 32 * 16, h = blockIdx.y, first = (int) (gridDim.x - 1 - blockIdx.x) * S::ROWS; // long ones first
    int               end = min(first + S::ROWS, a.t), start[2];
    int64_t           one = (int64_t) a.t * D, head = h * one, own = h / a.group * one;
    float             sum[D / 8][4] = {}, most[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
    for (int e = 0; e < 2; e++) {
        start[e] = a.start[min(first + row + fragment_row(2 * e), a.t - 1)];
    }
    int last = a.start[min(end, a.t) - 1];
    T::template load<S::ROWS, S::THREADS>(q, x.q + head, first, a.t);
    T::template load<S::ROWS, S::THREADS>(ql, x.ql + head, first, a.t);
    int tile = next_tile(a, 0, S::TILE, first);
    T::template load<S::TILE, S::THREADS>(k, x.k + own, tile * S::TILE, a.t);
    T::template load<S::TILE, S::THREADS>(kl, x.kl + own, tile * S::TILE, a.t);
    copy_commit();
    while (tile * S::TILE < end) {
        int from = tile * S::TILE, next = next_tile(a, tile + 1, S::TILE, first);
        T::template load<S::TILE, S::THREADS>(v, x.v + own, from, a.t);
        T::template load<S::TILE, S::THREADS>(vl, x.vl + own, from, a.t);
        copy_commit();
        copy_wait<1>(); // the keys are there
        __syncthreads();
        float s[S::TILE / 8][4] = {};
        scores<D, S::TILE>(s, ql, row, k);
        scores<D, S::TILE>(s, q, row, kl);
        scores<D, S::TILE>(s, q, row, k);
        __syncthreads();
        if (next * S::TILE < end) {
            T::template load<S::TILE, S::THREADS>(k, x.k + own, next * S::TILE, a.t);
            T::template load<S::TILE, S::THREADS>(kl, x.kl + own, next * S::TILE, a.t);
        }
        copy_commit();
        if (from + S::TILE - 1 > first || (from < last && from + S::TILE > a.prefix)) { // not all queries see all keys
#pragma unroll
            for (int n = 0; n < S::TILE / 8; n++) {
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    if (!sees(first + row + fragment_row(e), from + fragment_col(n, e), start[e / 2], a.prefix)) {
                        s[n][e] = -INFINITY;
                    }
                }
            }
        }
        soften<S::TILE, D>(s, sum, most, total, a.scale * LOG2E);
        copy_wait<1>(); // the values are there
        __syncthreads();
        sum_rows<D, S::TILE>(sum, s, vl);
        sum_rows<D, S::TILE>(sum, s, v);
#pragma unroll
        for (int n = 0; n < S::TILE / 8; n++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                s[n][e] = low_of(s[n][e]);
            }
        }
        sum_rows<D, S::TILE>(sum, s, v);
        __syncthreads();
        tile = next;
    }
    copy_wait<0>();
    for (int e = 0; e < 2; e++) {
        total[e] += __shfl_xor_sync(FULL, total[e], 1);
        total[e] += __shfl_xor_sync(FULL, total[e], 2);
        int query = first + row + fragment_row(2 * e);
        if (query < a.t && threadIdx.x % 4 == 0) {
            a.lse[(int64_t) query * a.heads + a.head0 + h] = most[e] * LN2 + logf(total[e]);
        }
    }
#pragma unroll
    for (int n = 0; n < D / 8; n++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            sum[n][e] /= total[e / 2];
        }
    }
    write_sums<D>(a.o + (a.head0 + h) * a.dim, a.ldo, sum, first + row, a.t, a.dim);
}

// A block for dq of a tile of queries of one head.
template <int D> __global__ void __launch_bounds__(tensor_sizes<D, true>::THREADS) tensor_back_q(tensor_args x) {
    typedef tensor_sizes<D, true> S;
    typedef tile_of<D>            T;
    SHARED(bf16, q);
    bf16 *            g = q + S::ROWS * S::LD;
    bf16 *            k = g + S::ROWS * S::LD;
    bf16 *            v = k + S::TILE * S::LD;
    const attn_args & a = x.a;
    int               row = threadIdx.x / 32 * 16, h = blockIdx.y, first = (int) (gridDim.x - 1 - blockIdx.x) * S::ROWS;
    int               end = min(first + S::ROWS, a.t), start[2];
    int64_t           one = (int64_t) a.t * D, head = h * one, own = h / a.group * one;
    float             sum[D / 8][4] = {}, lse[2], delta[2];
    for (int e = 0; e < 2; e++) {
        int query = min(first + row + fragment_row(2 * e), a.t - 1);
        start[e]  = a.start[query];
        lse[e]    = a.lse[(int64_t) query * a.heads + a.head0 + h] * LOG2E;
        delta[e]  = a.delta[(int64_t) h * a.t + query];
    }
    T::template load<S::ROWS, S::THREADS>(q, x.q + head, first, a.t);
    T::template load<S::ROWS, S::THREADS>(g, x.g + head, first, a.t);
    for (int tile = next_tile(a, 0, S::TILE, first); tile * S::TILE < end; tile = next_tile(a, tile + 1, S::TILE, first)) {
        int from = tile * S::TILE;
        __syncthreads();
        T::template load<S::TILE, S::THREADS>(k, x.k + own, from, a.t);
        T::template load<S::TILE, S::THREADS>(v, x.v + own, from, a.t);
        copy_commit();
        copy_wait<0>();
        __syncthreads();
        float s[S::TILE / 8][4] = {}, dp[S::TILE / 8][4] = {};
        scores<D, S::TILE>(s, q, row, k);
        scores<D, S::TILE>(dp, g, row, v);
#pragma unroll
        for (int n = 0; n < S::TILE / 8; n++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                bool  seen = sees(first + row + fragment_row(e), from + fragment_col(n, e), start[e / 2], a.prefix);
                float p    = seen ? fast_exp2(s[n][e] * (a.scale * LOG2E) - lse[e / 2]) : 0;
                s[n][e]    = p * (dp[n][e] - delta[e / 2]) * a.scale;
            }
        }
        sum_rows<D, S::TILE>(sum, s, k);
    }
    write_sums<D>(a.dq + (a.head0 + h) * a.dim, a.ldq, sum, first + row, a.t, a.dim);
}

// A block for dk and dv of a tile of keys of one kv head, over all queries that see one of them, head by head. Scores are
// transposed here: rows are keys. With WHICH 1 it computes dv only, with 2 dk only: both do not fit the registers of wide heads.
template <int D, int WHICH> __global__ void __launch_bounds__(tensor_sizes<D, true>::THREADS) tensor_back_kv(tensor_args x) {
    typedef tensor_sizes<D, true> S;
    typedef tile_of<D>            T;
    SHARED(bf16, k);
    bf16 *            v = k + S::ROWS * S::LD;
    bf16 *            q = v + S::ROWS * S::LD;
    bf16 *            g = q + S::TILE * S::LD;
    const attn_args & a = x.a;
    int               row = threadIdx.x / 32 * 16, own = blockIdx.y, first = (int) blockIdx.x * S::ROWS;
    int               to = last_query(a, first, min(first + S::ROWS, a.t));
    int64_t           one = (int64_t) a.t * D;
    float             dk[D / 8][4] = {}, dv[D / 8][4] = {};
    T::template load<S::ROWS, S::THREADS>(k, x.k + own * one, first, a.t);
    T::template load<S::ROWS, S::THREADS>(v, x.v + own * one, first, a.t);
    for (int h = own * a.group; h < (own + 1) * a.group; h++) {
        for (int from = first / S::TILE * S::TILE; from < to; from += S::TILE) {
            __syncthreads();
            T::template load<S::TILE, S::THREADS>(q, x.q + h * one, from, a.t);
            T::template load<S::TILE, S::THREADS>(g, x.g + h * one, from, a.t);
            copy_commit();
            copy_wait<0>();
            __syncthreads();
            float s[S::TILE / 8][4] = {}, dp[S::TILE / 8][4] = {};
            scores<D, S::TILE>(s, k, row, q);
            if (WHICH != 1) {
                scores<D, S::TILE>(dp, v, row, g);
            }
#pragma unroll
            for (int n = 0; n < S::TILE / 8; n++) {
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    int   query = from + fragment_col(n, e), at = min(query, a.t - 1);
                    bool  seen  = query < a.t && sees(query, first + row + fragment_row(e), a.start[at], a.prefix);
                    float lse   = a.lse[(int64_t) at * a.heads + a.head0 + h] * LOG2E;
                    s[n][e]     = seen ? fast_exp2(s[n][e] * (a.scale * LOG2E) - lse) : 0;
                    dp[n][e]    = s[n][e] * (dp[n][e] - a.delta[(int64_t) h * a.t + at]) * a.scale;
                }
            }
            if (WHICH != 2) {
                sum_rows<D, S::TILE>(dv, s, g);
            }
            if (WHICH != 1) {
                sum_rows<D, S::TILE>(dk, dp, q);
            }
        }
    }
    copy_wait<0>(); // without a query nobody has
    if (WHICH != 1) {
        write_sums<D>(a.dk + (a.kv0 + own) * a.dim, a.ldk, dk, first + row, a.t, a.dim);
    }
    if (WHICH != 2) {
        write_sums<D>(a.dv + (a.kv0 + own) * a.dim, a.ldv, dv, first + row, a.t, a.dim);
    }
}

template <class S, class K> static int launch_tensor(cd_card * c, const char * what, K kernel, int heads, const tensor_args & x) {
    c->ok(cudaFuncSetAttribute((const void *) kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, S::SHARED), what);
    LAUNCH(c, what, kernel, dim3(blocks_for(x.a.t, S::ROWS), (unsigned) heads), S::THREADS, (size_t) S::SHARED, x);
    return c->failed;
}

template <int D> static int attention_tensor_of(cd_card * c, const tensor_args & x, int kv_heads, bool back) {
    typedef tensor_sizes<D, false> forward;
    typedef tensor_sizes<D, true>  backward;
    int heads = kv_heads * x.a.group;
    if (!back) {
        return launch_tensor<forward>(c, "attention", tensor_forward<D>, heads, x);
    }
    LAUNCH(c, "attention_back", delta_rows<true>, dim3(blocks_for(x.a.t, 8), (unsigned) heads), 256, 0, x.a);
    launch_tensor<backward>(c, "attention_back", tensor_back_q<D>, heads, x);
    if constexpr (D <= 128) {
        launch_tensor<backward>(c, "attention_back", tensor_back_kv<D, 0>, kv_heads, x);
    } else {
        launch_tensor<backward>(c, "attention_back", tensor_back_kv<D, 1>, kv_heads, x);
        launch_tensor<backward>(c, "attention_back", tensor_back_kv<D, 2>, kv_heads, x);
    }
    return c->failed;
}

// copies hands out scratch for heads and fills it.
struct copies {
    cd_card *         c;
    const attn_args & a;
    int               padded;
    bf16 *            at;

    const bf16 * copy(const float * x, int64_t ld, int first, int heads, const bf16 ** low) {
        bf16 * high = at;
        at += (int64_t) heads * a.t * padded;
        bf16 * rest = nullptr;
        if (low != nullptr) {
            *low = rest = at;
            at += (int64_t) heads * a.t * padded;
        }
        run_each(c, "attention", copy_head{high, rest, x + first * a.dim, ld, a.t, a.dim, padded}, (int64_t) heads * a.t, padded);
        return high;
    }
};

int attention_tensor(cd_card * c, const attn_args & a, int kv_heads, int padded, bool back, char * scratch) {
    copies      s = {c, a, padded, (bf16 *) scratch};
    tensor_args x = {};
    int         heads = kv_heads * a.group;
    x.a = a;
    x.q = s.copy(a.q, a.ldq, a.head0, heads, back ? nullptr : &x.ql);
    x.k = s.copy(a.k, a.ldk, a.kv0, kv_heads, back ? nullptr : &x.kl);
    x.v = s.copy(a.v, a.ldv, a.kv0, kv_heads, back ? nullptr : &x.vl);
    if (back) {
        x.g = s.copy(a.d_o, a.lddo, a.head0, heads, nullptr);
    }
    switch (padded) {
        case 32: return attention_tensor_of<32>(c, x, kv_heads, back);
        case 64: return attention_tensor_of<64>(c, x, kv_heads, back);
        case 96: return attention_tensor_of<96>(c, x, kv_heads, back);
        case 128: return attention_tensor_of<128>(c, x, kv_heads, back);
        case 192: return attention_tensor_of<192>(c, x, kv_heads, back);
        case 256: return attention_tensor_of<256>(c, x, kv_heads, back);
    }
    return CK_SHAPE;
}
