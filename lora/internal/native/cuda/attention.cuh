// What the two kinds of attention kernels share: arguments, which keys a query
// sees, and which tiles of them.
#ifndef CLOISTER_CUDA_ATTENTION_CUH
#define CLOISTER_CUDA_ATTENTION_CUH

#include "elements.cuh"

// attn_args are as ck_attn and the functions on it have them. delta is [heads at once, t].
struct attn_args {
    const float *   q;
    const float *   k;
    const float *   v;
    float *         o; // written forward, read backward
    float *         lse;
    const float *   d_o;
    float *         dq;
    float *         dk;
    float *         dv;
    float *         delta;
    const int32_t * start;
    int64_t         ldq, ldk, ldv, ldo, lddo;
    int             t, prefix, heads, group, dim; // group: heads of one kv head
    int             kv0, head0;                   // the first of those at once
    float           scale;
    POINTERS(q, k, v, o, lse, d_o, dq, dk, dv, delta, start)
};

// sees says whether query i, whose own keys begin at start, sees key j.
__device__ static inline bool sees(int i, int j, int start, int prefix) { return j <= i && (j >= start || j < prefix); }

// next_tile is the first tile of size keys from tile on that some query from the first on sees; queries further on see no earlier
// keys of their own.
__device__ static inline int next_tile(const attn_args & a, int tile, int size, int first) {
    int start = a.start[first];
    return tile * size < a.prefix || (tile + 1) * size > start ? tile : start / size;
}

// last_query is one past the last query that sees a key of [j0, j1): all of them see what is shared, and of the others those
// whose start is below j1.
__device__ static inline int last_query(const attn_args & a, int j0, int j1) {
    if (j0 < a.prefix) {
        return a.t;
    }
    int low = j0, high = a.t;
    while (low < high) {
        int mid = (low + high) / 2;
        if (a.start[mid] < j1) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

// delta_rows is delta = d_o·o for each query of each head, with d_o as the products read it: then dp - delta cancels where a query
// sees one key.
template <bool ROUND> __global__ void __launch_bounds__(256) delta_rows(attn_args a) {
    int64_t row = (int64_t) blockIdx.x * 8 + threadIdx.x / 32;
    if (row >= a.t) {
        return;
    }
    int           head = blockIdx.y, lane = threadIdx.x % 32;
    const float * o = a.o + row * a.ldo + (a.head0 + head) * a.dim;
    const float * g = a.d_o + row * a.lddo + (a.head0 + head) * a.dim;
    float         s = 0;
    for (int d = lane; d < a.dim; d += 32) {
        s += o[d] * (ROUND ? __bfloat162float(__float2bfloat16(g[d])) : g[d]);
    }
    s = warp_sum(s);
    if (lane == 0) {
        a.delta[(int64_t) head * a.t + row] = s;
    }
}

// Both launch their kernels for the heads that a says, forward and backward.
int attention_float(cd_card * c, const attn_args & a, int kv_heads, int padded, bool back);
int attention_tensor(cd_card * c, const attn_args & a, int kv_heads, int padded, bool back, char * scratch);

#endif
