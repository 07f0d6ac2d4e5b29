#include "devices.h"

#include <cstdlib>
#include <cstring>

#include "build-info.h"
#include "ggml-backend.h"
#ifdef CL_CUDA
#include <cuda_runtime_api.h>

#include "ggml-cuda.h"

// Written by third_party/cuda-native.sh into the archive of the kernels, so that they cannot differ from it.
extern "C" const char cloister_cuda_archs[], cloister_cuda_toolkit[], cloister_cuda_cublas[];
#endif

extern "C" {

bool cl_device_get(size_t i, struct cl_device *out) {
    if (i >= ggml_backend_dev_count()) {
        return false;
    }
    ggml_backend_dev_t dev = ggml_backend_dev_get(i);
    ggml_backend_dev_props p;
    ggml_backend_dev_get_props(dev, &p);
    *out = {p.name, p.description, ggml_backend_reg_name(ggml_backend_dev_backend_reg(dev)), p.device_id,
            p.type == GGML_BACKEND_DEVICE_TYPE_GPU || p.type == GGML_BACKEND_DEVICE_TYPE_IGPU, p.memory_free, p.memory_total};
    return true;
}

bool cl_archs_run(const char *archs, int major, int minor) {
    const int have = 10 * major + minor;
    for (const char *p = archs; *p != 0;) {
        char *end;
        const int arch = (int) strtol(p, &end, 10);
        const size_t len = strcspn(end, ";");
        const bool exact = *end == 'a', family = *end == 'f';
        // A number alone stands for both.
        const bool ptx = memmem(end, len, "-real", 5) == nullptr, code = memmem(end, len, "-virtual", 8) == nullptr;
        if (arch > 0 && (arch == have || (!exact && code && arch / 10 == major && arch <= have) || (!exact && !family && ptx && arch <= have))) {
            return true;
        }
        p = end + len + (end[len] == ';');
    }
    return false;
}

const char *cl_commit(void) { return llama_commit(); }

#ifdef CL_CUDA

bool cl_cuda_facts(struct cl_facts *out) {
    *out = {cloister_cuda_archs, cloister_cuda_toolkit, cloister_cuda_cublas};
    return true;
}

bool cl_cuda_get(struct cl_cuda *out) {
    *out = {0, 0, 0, 0, ""};
    cudaDriverGetVersion(&out->driver);
    cudaRuntimeGetVersion(&out->runtime);
    const cudaError_t err = cudaGetDeviceCount(&out->cards);
    if (err != cudaSuccess) {
        cudaGetLastError(); // or the next call would report it again
        out->cards = 0;
        out->code = err;
        out->reason = cudaGetErrorString(err);
    }
    return true;
}

bool cl_cuda_card(int i, struct cl_card *out) {
    cudaDeviceProp prop;
    if (cudaGetDeviceProperties(&prop, i) != cudaSuccess || cudaDeviceGetPCIBusId(out->id, sizeof out->id, i) != cudaSuccess) {
        cudaGetLastError();
        return false;
    }
    memcpy(out->name, prop.name, sizeof out->name);
    out->major = prop.major;
    out->minor = prop.minor;
    out->usable = cl_archs_run(cloister_cuda_archs, prop.major, prop.minor);
    return true;
}

void cl_register_cards(void) {
    struct cl_cuda cuda;
    cl_cuda_get(&cuda);
    if (cuda.cards == 0) {
        return; // ggml-cuda would only log that
    }
    ggml_backend_reg_t reg = ggml_backend_cuda_reg();
    for (size_t i = 0; i < ggml_backend_reg_dev_count(reg); i++) {
        // A kernel that is missing would end the process at its first launch.
        struct cl_card card;
        if (cl_cuda_card((int) i, &card) && card.usable) {
            ggml_backend_device_register(ggml_backend_reg_dev_get(reg, i));
        }
    }
}

#else

bool cl_cuda_facts(struct cl_facts *) { return false; }
bool cl_cuda_get(struct cl_cuda *) { return false; }
bool cl_cuda_card(int, struct cl_card *) { return false; }
void cl_register_cards(void) {}

#endif
}
