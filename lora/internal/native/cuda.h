// The CUDA side of package native: one function for each kernel, as native.h has
// for CPUs, with the same meaning. All work of a cd_card is done in order on one
// stream. Data of matrices is device memory; every other pointer is host memory,
// whose content is copied before a call returns, and results that go there are
// there when it returns. Nothing here ends the process: what CUDA reports comes
// back as CD_DEVICE, after which the card refuses all further calls.
#ifndef CLOISTER_CUDA_H
#define CLOISTER_CUDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "native.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CD_DEVICE = 5 }; // beside CK_OK and so on

typedef struct cd_card cd_card;

typedef struct {
    char    name[256];
    int     major, minor; // compute capability
    int64_t total, free;  // bytes
} cd_device;

// cd_mat is rows of cols floats whose starts are ld values apart. ld 0 marks what cd_pack has written.
typedef struct {
    void *  data;
    int64_t rows, cols, ld;
} cd_mat;

// cd_weight is a matrix of a ggml type, as ck_right, and how many of its rows are dequantised at a time.
typedef struct {
    void *  data;
    int64_t rows, cols, row_bytes, slab;
    int     type;
} cd_weight;

// cd_term is scale·a·b, or scale·a·bᵀ with trans; chunk is how many rows of a are rounded at a time.
typedef struct {
    cd_mat    a;
    cd_weight b;
    int64_t   chunk;
    bool      trans;
    float     scale;
} cd_term;

typedef struct {
    cd_mat          q, k, v;
    int             prefix, heads, kv_heads, dim;
    int             padded; // dim as the kernels have it
    int             at_once; // kv heads
    float           scale;
} cd_attn;

// cd_devices: how many cards there are; with none, why not, in reason (NULL if there is no driver either).
int cd_devices(int * count, char * reason, size_t room);
int cd_device_info(int index, cd_device * out);
// cd_open: on a failure, what CUDA said is in reason.
int          cd_open(int index, bool precise, size_t staging, size_t workspace, cd_card ** out, char * reason, size_t room);
void         cd_close(cd_card * c);
const char * cd_error(const cd_card * c);

int  cd_alloc(cd_card * c, size_t bytes, void ** out);
void cd_free(cd_card * c, void * p);
int  cd_memory(cd_card * c, size_t * free, size_t * total);
int  cd_put(cd_card * c, void * dst, const void * src, size_t bytes);
int  cd_get(cd_card * c, void * dst, const void * src, size_t bytes);
int  cd_wait(cd_card * c);
// cd_pin gives host memory that copies beside the kernels need. cd_begin begins such a copy when all work that was given before is
// done, and cd_join makes all work that is given later wait for it. A ticket is good for one cd_join.
int  cd_pin(cd_card * c, size_t bytes, void ** out);
void cd_unpin(cd_card * c, void * p);
int  cd_begin(cd_card * c, void * dst, const void * src, size_t bytes, bool to_host, int * ticket);
int  cd_join(cd_card * c, int ticket);
// cd_scratch makes sure that calls find that much scratch.
int    cd_scratch(cd_card * c, size_t bytes);
size_t cd_held(const cd_card * c);

int cd_pack(cd_card * c, cd_mat dst, cd_mat x);
int cd_gemm(cd_card * c, cd_mat dst, const cd_term * terms, int n_terms, bool add);
int cd_gemm_tn(cd_card * c, cd_mat g, bool trans, cd_mat u, cd_mat x, int64_t chunk);
int cd_embed(cd_card * c, cd_mat dst, cd_weight table, const int32_t * ids);

int cd_copy(cd_card * c, cd_mat dst, cd_mat x);
int cd_gather(cd_card * c, cd_mat dst, cd_mat x, const int32_t * ids);
int cd_scatter_add(cd_card * c, cd_mat dst, cd_mat x, const int32_t * ids);
int cd_add_row(cd_card * c, cd_mat x, cd_mat row);
int cd_add(cd_card * c, cd_mat dst, cd_mat x);
int cd_scale(cd_card * c, cd_mat x, float by);
int cd_zero(cd_card * c, cd_mat x);
int cd_scale_rows(cd_card * c, cd_mat x, cd_mat w);
int cd_dot_rows(cd_card * c, cd_mat dst, cd_mat x, cd_mat y);
int cd_softcap(cd_card * c, cd_mat x, float cap);
int cd_softcap_back(cd_card * c, cd_mat d, cd_mat y, float cap);
int cd_glu(cd_card * c, cd_mat dst, cd_mat gate, cd_mat up, int act);
int cd_glu_back(cd_card * c, cd_mat d_gate, cd_mat d_up, cd_mat d, cd_mat gate, cd_mat up, int act);
int cd_rmsnorm(cd_card * c, cd_mat dst, cd_mat x, cd_mat w, float eps);
int cd_rmsnorm_back(cd_card * c, cd_mat dx, cd_mat dy, cd_mat x, cd_mat w, float eps);
int cd_rope(cd_card * c, cd_mat x, cd_mat table, int dim, bool neox, bool inverse);

int cd_attention(cd_card * c, const cd_attn * a, const int32_t * start, cd_mat o, cd_mat lse);
int cd_attention_back(cd_card * c, const cd_attn * a, const int32_t * start, cd_mat o, cd_mat lse, cd_mat d_o, cd_mat dq, cd_mat dk, cd_mat dv);

int cd_cross_entropy(cd_card * c, cd_mat logits, const int32_t * target, bool grad, float scale, const float * weight, double * loss,
                     int32_t * correct);
int cd_top_k(cd_card * c, cd_mat logits, const ck_soft * s);
int cd_distill(cd_card * c, cd_mat logits, const int32_t * target, const ck_soft * s, bool grad, float scale, double * loss, double * kl,
               int32_t * correct);

// cd_drop: values of src become 0 where 16 bits of a draw are below limit, and the others grow by 65536/(65536 - limit). keys has
// one key for each row; the draw for values i..i+3 is SplitMix64's finaliser of key + i.
int cd_drop(cd_card * c, cd_mat dst, cd_mat src, const uint64_t * keys, uint64_t limit, bool add);
// cd_noise adds to value i of a row bound·(2·u - 1), u the upper 53 bits of the draw of key + i.
int cd_noise(cd_card * c, cd_mat x, const uint64_t * keys, const double * bounds);
int cd_adamw(cd_card * c, cd_mat p, cd_mat g, cd_mat m, cd_mat v, const ck_adamw_step * s);
int cd_sum_squares(cd_card * c, cd_mat x, double * out);

#ifdef __cplusplus
}
#endif
#endif
