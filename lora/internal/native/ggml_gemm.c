// ggml's own product, to measure beside ours.
#include "ggml.h"
#include "ggml-cpu.h"
#include "kernels.h"

#include <stdlib.h>

int ck_ggml_gemm(int threads, float * c, const float * x, int m, const void * w, int type, int n, int k) {
    if (!ck_type_ok(type, k) || m <= 0 || n <= 0) {
        return CK_SHAPE;
    }
    struct ggml_init_params params = {.mem_size = 16 * ggml_tensor_overhead() + ggml_graph_overhead(), .no_alloc = true};
    struct ggml_context *   ctx    = ggml_init(params);
    if (ctx == NULL) {
        return CK_NOMEM;
    }
    struct ggml_tensor * tw = ggml_new_tensor_2d(ctx, (enum ggml_type) type, k, n);
    struct ggml_tensor * tx = ggml_new_tensor_2d(ctx, GGML_TYPE_F32, k, m);
    struct ggml_tensor * tc = ggml_mul_mat(ctx, tw, tx);
    tw->data = (void *) w;
    tx->data = (void *) x;
    tc->data = c;
    struct ggml_cgraph * graph = ggml_new_graph(ctx);
    ggml_build_forward_expand(graph, tc);
    struct ggml_cplan plan = ggml_graph_plan(graph, threads, NULL);
    plan.work_data         = plan.work_size > 0 ? malloc(plan.work_size) : NULL;
    int code               = CK_NOMEM;
    if (plan.work_size == 0 || plan.work_data != NULL) {
        code = ggml_graph_compute(graph, &plan) == GGML_STATUS_SUCCESS ? CK_OK : CK_NOMEM;
    }
    free(plan.work_data);
    ggml_free(ctx);
    return code;
}
