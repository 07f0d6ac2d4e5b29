// The C side of package native: one function for each kernel.
//
// Matrices are row-major float; "x [t,n] ld" says t rows of n values whose
// starts are ld values apart. Unless a comment says otherwise, outputs must
// not overlap inputs. Every output value is computed by one thread in an order
// that depends on the sizes alone, so results are the same bytes for any
// number of threads.
#ifndef CLOISTER_NATIVE_H
#define CLOISTER_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CK_OK = 0, CK_NOMEM = 1, CK_TYPE = 2, CK_SHAPE = 3, CK_THREAD = 4 };
// Levels of kernels. The products of the BF16 levels round both operands to BF16 and add in float; AMX_BF16X3 cuts both into
// two parts of BF16 and adds three products. BEST is the fastest level of this CPU, FLOAT the fastest of those that round nothing.
enum {
    CK_LEVEL_BEST = -1,
    CK_LEVEL_FLOAT = -2,
    CK_LEVEL_NAIVE = 0,
    CK_LEVEL_AVX2 = 1,
    CK_LEVEL_AVX512 = 2,
    CK_LEVEL_AVX512_BF16 = 3,
    CK_LEVEL_AMX = 4,
    CK_LEVEL_AMX_BF16X3 = 5,
    CK_LEVELS = 6,
};
enum { CK_SILU = 0, CK_GELU = 1 };

typedef struct ck_pool ck_pool;

// ck_level_supported says whether this CPU runs a level.
bool ck_level_supported(int level);
// ck_pool_new starts threads-1 workers that sleep while there is no work; the caller is the last thread.
int  ck_pool_new(int threads, int level, ck_pool ** out);
// ck_pool_plan is a pool without threads on which ck_gemm, ck_gemm_tn, ck_attention and ck_attention_back touch no operand:
// ck_pool_scratch then says what they would have taken.
int  ck_pool_plan(int threads, int level, ck_pool ** out);
void ck_pool_free(ck_pool * p);
int  ck_pool_level(const ck_pool * p);
// ck_pool_use makes the calls that follow run at another level of this CPU. What ck_pack has packed is for the level of that call.
int  ck_pool_use(ck_pool * p, int level);
// ck_pool_scratch is the bytes of scratch that the threads hold now; ck_pool_trim frees them.
size_t ck_pool_scratch(const ck_pool * p);
void   ck_pool_trim(ck_pool * p);

// ck_right is the right operand of a product. With trans it holds n rows of k
// values and stands for their transpose, else k rows of n values. type is a
// ggml_type; a row takes row_bytes bytes. scale multiplies it.
typedef struct {
    const void * data;
    size_t       row_bytes;
    int          type;
    bool         trans;
    float        scale;
} ck_right;

// ck_term is one product a·b of a sum: a [m,k], with row stride lda, or packed by ck_pack when lda is 0.
typedef struct {
    const void * a;
    int64_t       lda;
    int           k;
    ck_right      b;
} ck_term;

// ck_type_ok: ggml can turn rows of this type into float, and cols fill whole blocks of it.
bool ck_type_ok(int type, int64_t cols);

// ck_pack_bytes is the room that ck_pack needs for x [m,k].
size_t ck_pack_bytes(const ck_pool * p, int m, int k);
// ck_pack copies x [m,k] ld into the form in which the products of this level read their left operand.
int ck_pack(ck_pool * p, void * out, const float * x, int64_t ld, int m, int k);

// ck_gemm: c [m,n] ldc = Σ terms, or c += Σ terms.
int ck_gemm(ck_pool * p, float * c, int64_t ldc, int m, int n, const ck_term * terms, int n_terms, bool add);

// ck_gemm_tn: g += uᵀ·x for u [t,r] ldu and x [t,n] ldx; value (i,j) of the product goes to g[i*gs + j*gt].
int ck_gemm_tn(ck_pool * p, float * g, int64_t gs, int64_t gt, const float * u, int64_t ldu, int r,
               const float * x, int64_t ldx, int n, int t);

// ck_embed: out [t,n] ld = rows ids[0..t) of a table with n values of this type in each row.
int ck_embed(ck_pool * p, float * out, int64_t ld, const void * table, size_t row_bytes, int type, int n,
             const int32_t * ids, int t);

// ck_rmsnorm: out[i] = x[i]·w / sqrt(mean(x[i]²) + eps), rows of n values. out may be x.
int ck_rmsnorm(ck_pool * p, float * out, int64_t ldo, const float * x, int64_t ldx, const float * w, float eps, int t, int n);
// ck_rmsnorm_back: dx += the gradient with respect to x, given dy with respect to out.
int ck_rmsnorm_back(ck_pool * p, float * dx, int64_t lddx, const float * dy, int64_t lddy, const float * x, int64_t ldx,
                    const float * w, float eps, int t, int n);

// ck_rope turns pairs of the first 2·half values of every head of x [t, heads·dim] in place by the angles whose
// cosines and sines stand in table [t, 2·half] (cosines first). Pairs are (2i, 2i+1), or (i, i+half) with neox.
// inverse turns back, which is the gradient.
int ck_rope(ck_pool * p, float * x, int64_t ld, const float * table, int t, int heads, int dim, int half, bool neox, bool inverse);

// ck_attn describes causal attention: query i sees the keys start[i]..i and,
// where i >= prefix, the keys 0..prefix-1 as well. start never falls; it is 0
// below prefix and at least prefix from there on. q and o are [t, heads·dim],
// k and v [t, kv_heads·dim], lse is [t, heads]; head h reads kv head
// h / (heads / kv_heads). Scores are scaled by scale.
typedef struct {
    const float *   q;
    const float *   k;
    const float *   v;
    int64_t         ldq, ldk, ldv;
    const int32_t * start;
    int             prefix, t, heads, kv_heads, dim;
    float           scale;
} ck_attn;

// ck_attention: o [t, heads·dim] and lse, the logarithm of each row's sum of exponentials.
int ck_attention(ck_pool * p, const ck_attn * a, float * o, int64_t ldo, float * lse);
// ck_attention_back: dq, dk, dv (overwritten, strides as q, k, v) from o, lse and the gradient d_o [t, heads·dim] lddo.
int ck_attention_back(ck_pool * p, const ck_attn * a, const float * o, int64_t ldo, const float * lse, const float * d_o,
                      int64_t lddo, float * dq, float * dk, float * dv);

// ck_glu: out = act(gate)·up, all [t,n] without gaps. out may be either input. act is CK_SILU or CK_GELU (tanh form).
int ck_glu(ck_pool * p, float * out, const float * gate, const float * up, int64_t count, int act);
// ck_glu_back: from d, the gradient with respect to out, those of gate and up, which may overwrite gate and up.
int ck_glu_back(ck_pool * p, float * d_gate, float * d_up, const float * d, const float * gate, const float * up,
                int64_t count, int act);

// ck_cross_entropy: for each row of logits [t,n] ld, loss[i] = -ln softmax(row)[target[i]] and correct[i] = 1 when the
// target is the first of the largest logits. With grad, each row becomes scale·weight[i]·(softmax - onehot(target)); weight
// NULL is 1 everywhere.
int ck_cross_entropy(ck_pool * p, float * logits, int64_t ld, int t, int n, const int32_t * target, bool grad, float scale,
                     const float * weight, double * loss, int32_t * correct);

// ck_soft holds what a teacher says about t rows: of row i, the logarithms logp[i*k + j] of the probabilities of its k likeliest
// tokens ids[i*k + j], at a temperature, and rest[i], the logarithm of that of all other tokens together.
typedef struct {
    int             k;
    float           temperature, alpha; // alpha: the share of the targets' cross-entropy in the loss
    int32_t *       ids;
    float *         logp;
    float *         rest;
} ck_soft;

// ck_top_k fills s from logits [t,n] ld, which it overwrites: the largest first, of equal ones the one with the smaller id.
int ck_top_k(ck_pool * p, float * logits, int64_t ld, int t, int n, const ck_soft * s);
// ck_distill: for each row of logits [t,n] ld, loss[i] = -ln softmax(row)[target[i]], correct[i] as ck_cross_entropy, and
// kl[i] = Σ q·ln(q/p) over the k tokens and the rest as one outcome, q the teacher's and p = softmax(row/temperature). With
// grad, each row becomes the gradient of scale·(alpha·loss + (1 - alpha)·temperature²·kl). No id may stand in a row twice.
int ck_distill(ck_pool * p, float * logits, int64_t ld, int t, int n, const int32_t * target, const ck_soft * s, bool grad,
               float scale, double * loss, double * kl, int32_t * correct);

// ck_add_row: x[i] += row for each of t rows of n values.
int ck_add_row(ck_pool * p, float * x, int64_t ld, const float * row, int t, int n);
// ck_copy: out = x.
int ck_copy(ck_pool * p, float * out, int64_t ldo, const float * x, int64_t ldx, int t, int n);
// ck_gather: out[i] = x[ids[i]]; ck_scatter_add: out[ids[i]] += x[i], ids without repeats.
int ck_gather(ck_pool * p, float * out, int64_t ldo, const float * x, int64_t ldx, const int32_t * ids, int t, int n);
int ck_scatter_add(ck_pool * p, float * out, int64_t ldo, const float * x, int64_t ldx, const int32_t * ids, int t, int n);

// ck_adamw_step holds one step's constants: rate over 1 - beta1^t, the factor on the gradient (clipping), 1/sqrt(1 - beta2^t),
// and what weight decay leaves of a parameter, 1 - rate·decay.
typedef struct {
    float rate, factor, root, keep, beta1, beta2, epsilon;
} ck_adamw_step;

// ck_adamw updates n parameters p and their moments m and v by the gradients g, on the calling thread, with the float kernels of
// this CPU; ck_sum_squares is Σ x². Both need no pool.
void   ck_adamw(float * p, const float * g, float * m, float * v, int64_t n, const ck_adamw_step * s);
double ck_sum_squares(const float * x, int64_t n);

// ck_ggml_gemm is ggml's own c [m,n] = x [m,k]·wᵀ, w [n,k] of a ggml type, no gaps anywhere: for comparison.
int ck_ggml_gemm(int threads, float * c, const float * x, int m, const void * w, int type, int n, int k);

// ck_add: out += x [t,n].
int ck_add(ck_pool * p, float * out, int64_t ldo, const float * x, int64_t ldx, int t, int n);
// ck_scale_rows: x[i] *= w[i] for rows of n values and one value w[i] for each.
int ck_scale_rows(ck_pool * p, float * x, int64_t ld, const float * w, int t, int n);
// ck_dot_rows: out[i] = x[i]·y[i], one value for each of t rows of n.
int ck_dot_rows(ck_pool * p, float * out, const float * x, int64_t ldx, const float * y, int64_t ldy, int t, int n);
// ck_softcap: x = cap·tanh(x/cap), rows of n values; ck_softcap_back: d *= 1 - (y/cap)², the gradient before the cap from
// the one after it and what the cap gave, y.
int ck_softcap(ck_pool * p, float * x, int64_t ld, float cap, int t, int n);
int ck_softcap_back(ck_pool * p, float * d, int64_t ldd, const float * y, int64_t ldy, float cap, int t, int n);

// ck_quantize makes ggml quantise rows of n values, without an importance matrix; the type must be one that ggml
// quantises so. ck_row_bytes is the size of one such row, 0 if it cannot be. ck_dequantize turns n values into float.
size_t ck_row_bytes(int type, int64_t n);
size_t ck_quantize(int type, const float * src, void * dst, int64_t rows, int64_t n);
int    ck_dequantize(int type, const void * src, float * dst, int64_t n);

#endif
