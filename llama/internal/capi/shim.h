// C face of the few C++ functions of llama.cpp's "common" library that Cloister
// uses, and of loaders whose error texts would otherwise go to the log only.
// No exception leaves it: functions return NULL or -1 and write the reason to err.
#ifndef CLOISTER_SHIM_H
#define CLOISTER_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "llama.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cl_templates cl_templates;

// Registers the CPU and the cards, and takes over logging: errors are kept for the
// loaders below, everything else is dropped. Where ggml ends the process, the
// reason goes to standard error, in one line that begins with "abort: ".
void cl_init(void);

// Where a model lies. Without devices it lies in the host's memory.
typedef struct cl_offload {
    int layers;          // the last ones, the output matrix being one; the rest lies in the host's memory
    const char *devices; // names of ggml devices, separated by commas; "" for none
    const float *split;  // for each device, its share of the layers, in any unit
} cl_offload;

// offset is where the GGUF begins in the file, for one inside a larger file; -1
// is a file of its own, which may be the first of several parts.
struct llama_model *cl_model_load(const char *path, int64_t offset, bool vocab_only, cl_offload where, char *err,
                                  size_t err_len);

// How large a context is.
typedef struct cl_context_size {
    unsigned n_ctx, n_batch, n_seq;
    int threads;
    bool exact; // keys and values in float32, without flash attention; else flash attention where the devices have it
} cl_context_size;

struct llama_context *cl_context_new(struct llama_model *model, cl_context_size size, char *err, size_t err_len);

// cl_memory is what a model and a context take on one device, in bytes.
typedef struct cl_memory {
    long long weights, cache, compute;
} cl_memory;

// Asks llama.cpp what a model and a context would take, without taking it: out
// gets a row for each device of where and one for the host. Returns the number
// of rows, or -1. Nothing else may load a model at the same time.
int cl_measure(const char *path, cl_offload where, cl_context_size size, cl_memory *out, int max, char *err,
               size_t err_len);

struct llama_adapter_lora *cl_adapter_load(struct llama_model *model, const char *path, int64_t offset,
                                           char *err, size_t err_len);

// common_chat_templates_init with the template inside the model.
cl_templates *cl_templates_new(const struct llama_model *model, char *err, size_t err_len);
void cl_templates_free(cl_templates *t);

// common_chat_templates_apply. messages_json is an array in OpenAI's form. The
// text is allocated with malloc; the caller frees it. Its length goes to out_len.
char *cl_templates_apply(const cl_templates *t, const char *messages_json, bool add_generation_prompt,
                         size_t *out_len, char *err, size_t err_len);

// json_schema_to_grammar. The text is allocated with malloc; the caller frees it.
char *cl_schema_grammar(const char *schema_json, char *err, size_t err_len);

// The token that llama_sampler_init_greedy chooses at an index of the batch, without a list of all tokens: the first of
// those with the highest logit. -1 where there are no logits.
llama_token cl_likeliest(struct llama_context *ctx, int idx);

// llama_sampler_sample with a grammar beside the chain: the chain's choice stands
// if the grammar takes it; otherwise it chooses again from what the grammar
// takes, which costs a look at every token. -1 on failure.
llama_token cl_sample(struct llama_sampler *grammar, struct llama_sampler *chain, struct llama_context *ctx, int idx,
                      char *err, size_t err_len);

#ifdef __cplusplus
}
#endif
#endif
