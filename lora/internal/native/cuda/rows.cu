// Kernels whose values depend on a whole row: norms, rotary positions, sums.
// Short rows get a warp each, long ones a block.
#include "elements.cuh"

static const int     ROW_THREADS = 256;
static const int64_t SHORT_ROW   = 1024;

// row_of is what a thread has to do with its row: columns first, first+step and so on.
template <bool WIDE> struct row_of {
    int64_t row;
    int     first, step;
    __device__ row_of() {
        row   = WIDE ? blockIdx.x : (int64_t) blockIdx.x * (ROW_THREADS / 32) + threadIdx.x / 32;
        first = WIDE ? threadIdx.x : threadIdx.x % 32;
        step  = WIDE ? ROW_THREADS : 32;
    }
    __device__ float sum(float v, float * part) const { return WIDE ? block_sum(v, part) : warp_sum(v); }
};

// run_rows launches the kernel for wide or short rows; both get the same arguments.
template <class K, class... A> int run_rows(cd_card * c, const char * what, K wide, K narrow, int64_t rows, int64_t cols, A... args) {
    if (rows <= 0) {
        return c->failed;
    }
    bool     is_wide = cols > SHORT_ROW;
    K        kernel  = is_wide ? wide : narrow;
    unsigned grid    = is_wide ? (unsigned) rows : blocks_for(rows, ROW_THREADS / 32);
    LAUNCH(c, what, kernel, grid, ROW_THREADS, 40 * sizeof(float), args...);
    return c->failed;
}

struct rows_args {
    float *       out;
    const float * x;
    const float * y;
    const float * w;
    int64_t       ldo, ldx, ldy, rows, cols;
    float         eps;
    POINTERS(out, x, y, w)
};

template <bool WIDE> __global__ void __launch_bounds__(ROW_THREADS) norm_rows(rows_args a) {
    SHARED(float, part);
    row_of<WIDE> at;
    if (at.row >= a.rows) {
        return;
    }
    const float * x  = a.x + at.row * a.ldx;
    float *       o  = a.out + at.row * a.ldo;
    float         ss = 0;
    for (int64_t j = at.first; j < a.cols; j += at.step) {
        ss += x[j] * x[j];
    }
    float r = 1 / sqrtf(at.sum(ss, part) / (float) a.cols + a.eps);
    for (int64_t j = at.first; j < a.cols; j += at.step) {
        o[j] = x[j] * r * a.w[j];
    }
}

int cd_rmsnorm(cd_card * c, cd_mat dst, cd_mat x, cd_mat w, float eps) {
    ENTER(c);
    rows_args a = {floats(dst), floats(x), nullptr, floats(w), dst.ld, x.ld, 0, x.rows, x.cols, eps};
    return run_rows(c, "rmsnorm", norm_rows<true>, norm_rows<false>, x.rows, x.cols, a);
}

// dx_j += r·dy_j·w_j - x_j·r³/n·Σ_i dy_i·w_i·x_i.
template <bool WIDE> __global__ void __launch_bounds__(ROW_THREADS) norm_back_rows(rows_args a) {
    SHARED(float, part);
    row_of<WIDE> at;
    if (at.row >= a.rows) {
        return;
    }
    const float * x  = a.x + at.row * a.ldx;
    const float * dy = a.y + at.row * a.ldy;
    float *       dx = a.out + at.row * a.ldo;
    float         ss = 0, dot = 0;
    for (int64_t j = at.first; j < a.cols; j += at.step) {
        ss += x[j] * x[j];
        dot += dy[j] * a.w[j] * x[j];
    }
    ss      = at.sum(ss, part);
    dot     = at.sum(dot, part);
    float r = 1 / sqrtf(ss / (float) a.cols + a.eps), k = r * r * r / (float) a.cols * dot;
    for (int64_t j = at.first; j < a.cols; j += at.step) {
        dx[j] += r * dy[j] * a.w[j] - x[j] * k;
    }
}

int cd_rmsnorm_back(cd_card * c, cd_mat dx, cd_mat dy, cd_mat x, cd_mat w, float eps) {
    ENTER(c);
    rows_args a = {floats(dx), floats(x), floats(dy), floats(w), dx.ld, x.ld, dy.ld, x.rows, x.cols, eps};
    return run_rows(c, "rmsnorm_back", norm_back_rows<true>, norm_back_rows<false>, x.rows, x.cols, a);
}

template <bool WIDE> __global__ void __launch_bounds__(ROW_THREADS) dot_rows(rows_args a) {
    SHARED(float, part);
    row_of<WIDE> at;
    if (at.row >= a.rows) {
        return;
    }
    const float * x   = a.x + at.row * a.ldx;
    const float * y   = a.y + at.row * a.ldy;
    float         dot = 0;
    for (int64_t j = at.first; j < a.cols; j += at.step) {
        dot += x[j] * y[j];
    }
    dot = at.sum(dot, part);
    if (at.first == 0) {
        a.out[at.row] = dot;
    }
}

int cd_dot_rows(cd_card * c, cd_mat dst, cd_mat x, cd_mat y) {
    ENTER(c);
    rows_args a = {floats(dst), floats(x), floats(y), nullptr, 1, x.ld, y.ld, x.rows, x.cols, 0};
    return run_rows(c, "dot_rows", dot_rows<true>, dot_rows<false>, x.rows, x.cols, a);
}

// rope_value turns pair j of row i: pair j%half of head j/half.
struct rope_value {
    float *       x;
    const float * table;
    int64_t       ld;
    int           dim, half;
    bool          neox;
    float         sign;
    POINTERS(x, table)
    __device__ void operator()(int64_t i, int64_t j) const {
        int           head = (int) j / half, k = (int) j % half;
        const float * row = table + i * 2 * half;
        float *       at  = x + i * ld + (int64_t) head * dim + (neox ? k : 2 * k);
        float *       to  = at + (neox ? half : 1);
        float         co = row[k], si = sign * row[half + k], x0 = *at, x1 = *to;
        *at = x0 * co - x1 * si;
        *to = x0 * si + x1 * co;
    }
};

int cd_rope(cd_card * c, cd_mat x, cd_mat table, int dim, bool neox, bool inverse) {
    ENTER(c);
    int half = (int) (table.cols / 2);
    if (half <= 0 || 2 * half > dim) {
        return CK_SHAPE;
    }
    return run_each(c, "rope", rope_value{floats(x), floats(table), x.ld, dim, half, neox, inverse ? -1.f : 1.f}, x.rows, x.cols / dim * half);
}

// Sums of squares in two steps: every block adds a part of the values that the length alone decides, then one block adds the parts.
static const int SQUARE_BLOCKS = 512, SQUARE_VALUES = 16384;

__global__ void __launch_bounds__(ROW_THREADS) square_parts(const float * x, int64_t ld, int64_t rows, int64_t cols, double * parts) {
    SHARED(double, part);
    double s = 0;
    for (int64_t i = (int64_t) blockIdx.x * ROW_THREADS + threadIdx.x; i < rows * cols; i += (int64_t) gridDim.x * ROW_THREADS) {
        double v = x[ld == cols ? i : i / cols * ld + i % cols];
        s += v * v;
    }
    s = block_sum(s, part);
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = s;
    }
}

__global__ void __launch_bounds__(ROW_THREADS) square_total(const double * parts, int n, double * out) {
    SHARED(double, part);
    double s = 0;
    for (int i = threadIdx.x; i < n; i += ROW_THREADS) {
        s += parts[i];
    }
    s = block_sum(s, part);
    if (threadIdx.x == 0) {
        *out = s;
    }
}

int cd_sum_squares(cd_card * c, cd_mat x, double * out) {
    ENTER(c);
    *out = 0;
    if (x.rows * x.cols == 0) {
        return CK_OK;
    }
    ROOM(c, sizeof(double) * (SQUARE_BLOCKS + 1));
    char *   host;
    double * parts = (double *) c->slot(sizeof(double) * SQUARE_BLOCKS, &host);
    result   r[]   = {make_result(c, out, sizeof *out)};
    unsigned n     = blocks_for(x.rows * x.cols, SQUARE_VALUES);
    n              = n < SQUARE_BLOCKS ? n : SQUARE_BLOCKS;
    LAUNCH(c, "sum_squares", square_parts, n, ROW_THREADS, 40 * sizeof(double), (const float *) x.data, x.ld, x.rows, x.cols, parts);
    LAUNCH(c, "sum_squares", square_total, 1, ROW_THREADS, 40 * sizeof(double), (const double *) parts, (int) n, (double *) r[0].on_card);
    return fetch(c, r);
}
