// The devices that ggml can compute on, and what the CUDA runtime says of this machine.
#ifndef CLOISTER_DEVICES_H
#define CLOISTER_DEVICES_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// Registers the CUDA devices that the file has kernels for; nothing without the tag cuda. ggml registers the CPU by itself.
void cl_register_cards(void);

struct cl_device {
    const char *name, *description, *backend, *id; // valid for ever; id may be NULL
    bool gpu;
    size_t free, total; // bytes
};

// The i-th entry of ggml's registry; false after the last.
bool cl_device_get(size_t i, struct cl_device *out);

// Of the build; valid for ever.
struct cl_facts {
    const char *archs, *toolkit, *cublas;
};

struct cl_cuda {
    int driver, runtime, code, cards;
    const char *reason; // valid for ever
};

struct cl_card {
    char name[256], id[32];
    int major, minor;
    bool usable;
};

// These are false when the file was built without CUDA. Only the second asks the driver.
bool cl_cuda_facts(struct cl_facts *out);
bool cl_cuda_get(struct cl_cuda *out);
// The i-th card of the runtime; false when it cannot be asked.
bool cl_cuda_card(int i, struct cl_card *out);

// Whether code for these architectures ("86-real;90-virtual") runs on a card: code for a card runs on those of the same
// major number and no smaller minor one, PTX on all that are no older, and both for exactly one card where an "a" stands.
bool cl_archs_run(const char *archs, int major, int minor);

const char *cl_commit(void);

#ifdef __cplusplus
}
#endif
#endif
