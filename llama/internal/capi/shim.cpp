#include "shim.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "chat.h"
#include "devices.h"
#include "fit.h"
#include "json-schema-to-grammar.h"

// The loaders run in the thread that asked, so its errors are its own.
static thread_local std::string last_error;

static void keep_errors(enum ggml_log_level level, const char *text, void *) {
    if (level == GGML_LOG_LEVEL_ERROR) {
        if (last_error.size() > 1000) { // of calls that nobody asked about
            last_error.clear();
        }
        last_error += text;
    }
}

// aborting writes why ggml ends the process, with the errors that led to it,
// such as CUDA's, in one line, and without folders of the machine that built it.
static void aborting(const char *message) {
    const char *colon = strchr(message, ':');
    for (const char *p = message; colon != nullptr && p < colon; p++) {
        if (*p == '/') {
            message = p + 1;
        }
    }
    std::string line = "abort: " + last_error + " " + message;
    for (char &c : line) {
        if (c == '\n' || c == '\r') {
            c = ' ';
        }
    }
    line = line.substr(0, 600) + "\n";
    if (write(STDERR_FILENO, line.data(), line.size()) < 0) {
        return; // nobody reads it
    }
}

static void report(char *err, size_t err_len, const std::string &text) {
    if (err_len == 0) {
        return;
    }
    size_t n = text.size() < err_len - 1 ? text.size() : err_len - 1;
    memcpy(err, text.data(), n);
    err[n] = 0;
}

// guarded runs f and turns an exception or a null result into an error text.
template <typename T, typename F>
static T *guarded(char *err, size_t err_len, F f) {
    last_error.clear();
    try {
        T *p = f();
        if (p == nullptr) {
            report(err, err_len, last_error.empty() ? "llama.cpp gave no reason" : last_error);
        }
        return p;
    } catch (const std::exception &e) {
        report(err, err_len, e.what());
    } catch (...) {
        report(err, err_len, "unknown C++ exception");
    }
    return nullptr;
}

// copied returns the text in memory that C frees.
static char *copied(const std::string &text, size_t *len) {
    char *out = static_cast<char *>(malloc(text.size() + 1));
    if (out != nullptr) {
        memcpy(out, text.data(), text.size());
        out[text.size()] = 0;
        *len = text.size();
    }
    return out;
}

// choose applies a chain to a row of logits, of which the grammar, if there is
// one, has taken out what it does not allow.
static llama_token choose(llama_sampler *grammar, llama_sampler *chain, std::vector<llama_token_data> &row) {
    llama_token_data_array all = {row.data(), row.size(), -1, false};
    if (grammar != nullptr) {
        llama_sampler_apply(grammar, &all);
    }
    llama_sampler_apply(chain, &all);
    return all.selected < 0 ? -1 : all.data[all.selected].id;
}

struct close_file {
    void operator()(FILE *f) const { fclose(f); }
};

// opened_at opens a file for llama.cpp, which reads the GGUF that begins at the
// position and maps the whole file. It keeps no FILE beyond its call.
static std::unique_ptr<FILE, close_file> opened_at(const char *path, int64_t offset) {
    std::unique_ptr<FILE, close_file> f(fopen(path, "rb"));
    if (!f || fseeko(f.get(), offset, SEEK_SET) != 0) {
        throw std::runtime_error(strerror(errno));
    }
    return f;
}

// placement has what llama_model_params points to; params is valid as long as it is.
struct placement {
    std::vector<ggml_backend_dev_t> devices;
    std::vector<float> split;
    int layers;

    explicit placement(const cl_offload &where) : layers(where.layers) {
        const std::string names = where.devices;
        for (size_t at = 0; at < names.size();) {
            size_t end = names.find(',', at);
            end = end == std::string::npos ? names.size() : end;
            const std::string name = names.substr(at, end - at);
            ggml_backend_dev_t dev = ggml_backend_dev_by_name(name.c_str());
            if (dev == nullptr) {
                throw std::runtime_error("there is no device " + name);
            }
            devices.push_back(dev);
            at = end + 1;
        }
        split.assign(llama_max_devices(), 0);
        for (size_t i = 0; i < devices.size() && i < split.size(); i++) {
            split[i] = where.split == nullptr ? 0 : where.split[i];
        }
        devices.push_back(nullptr); // the end of the list; alone: no device, where a null list means all
    }

    llama_model_params params() {
        llama_model_params p = llama_model_default_params();
        p.devices = devices.data();
        p.n_gpu_layers = devices.size() > 1 ? layers : 0;
        p.tensor_split = split.data(); // all zero: by free memory
        return p;
    }
};

static llama_context_params context_params(const cl_context_size &size) {
    llama_context_params p = llama_context_default_params();
    p.n_ctx = size.n_ctx;
    p.n_batch = size.n_batch;
    p.n_ubatch = size.n_batch;
    p.n_seq_max = size.n_seq;
    p.n_threads = size.threads;
    p.n_threads_batch = size.threads;
    p.no_perf = true;
    if (size.exact) {
        p.type_k = p.type_v = GGML_TYPE_F32;
        p.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    }
    return p;
}

struct cl_templates {
    common_chat_templates_ptr p;
};

extern "C" {

void cl_init(void) {
    llama_log_set(keep_errors, nullptr);
    ggml_set_abort_callback(aborting);
    llama_backend_init();
    cl_register_cards();
}

llama_model *cl_model_load(const char *path, int64_t offset, bool vocab_only, cl_offload where, char *err,
                           size_t err_len) {
    return guarded<llama_model>(err, err_len, [&] {
        placement place(where);
        llama_model_params p = place.params();
        p.vocab_only = vocab_only;
        if (offset < 0) {
            return llama_model_load_from_file(path, p);
        }
        return llama_model_load_from_file_ptr(opened_at(path, offset).get(), p);
    });
}

llama_context *cl_context_new(llama_model *model, cl_context_size size, char *err, size_t err_len) {
    return guarded<llama_context>(err, err_len, [&] { return llama_init_from_model(model, context_params(size)); });
}

int cl_measure(const char *path, cl_offload where, cl_context_size size, cl_memory *out, int max, char *err,
               size_t err_len) {
    int rows = -1;
    guarded<int>(err, err_len, [&] {
        placement place(where);
        const llama_model_params m = place.params();
        const llama_context_params c = context_params(size);
        std::vector<ggml_backend_dev_t> devices;
        uint32_t layers, trained, experts;
        const auto all = common_get_device_memory_data(path, &m, &c, devices, layers, trained, experts,
                                                       GGML_LOG_LEVEL_ERROR);
        rows = 0;
        for (const auto &d : all) {
            if (rows < max) {
                out[rows++] = {static_cast<long long>(d.model), static_cast<long long>(d.context),
                               static_cast<long long>(d.compute)};
            }
        }
        return &rows;
    });
    return rows;
}

llama_adapter_lora *cl_adapter_load(llama_model *model, const char *path, int64_t offset, char *err, size_t err_len) {
    return guarded<llama_adapter_lora>(
        err, err_len, [&] { return llama_adapter_lora_init_from_file_ptr(model, opened_at(path, offset).get()); });
}

cl_templates *cl_templates_new(const llama_model *model, char *err, size_t err_len) {
    return guarded<cl_templates>(err, err_len, [&]() -> cl_templates * {
        common_chat_templates_ptr p = common_chat_templates_init(model, "");
        return new cl_templates{std::move(p)};
    });
}

void cl_templates_free(cl_templates *t) { delete t; }

char *cl_templates_apply(const cl_templates *t, const char *messages_json, bool add_generation_prompt, size_t *out_len,
                         char *err, size_t err_len) {
    return guarded<char>(err, err_len, [&]() -> char * {
        common_chat_templates_inputs in;
        in.messages = common_chat_msgs_parse_oaicompat(common_json::parse(messages_json));
        in.add_generation_prompt = add_generation_prompt;
        return copied(common_chat_templates_apply(t->p.get(), in).prompt, out_len);
    });
}

char *cl_schema_grammar(const char *schema_json, char *err, size_t err_len) {
    return guarded<char>(err, err_len, [&]() -> char * {
        size_t len;
        return copied(json_schema_to_grammar(common_json::parse(schema_json)), &len);
    });
}

llama_token cl_likeliest(llama_context *ctx, int idx) {
    const float *x = llama_get_logits_ith(ctx, idx);
    if (x == nullptr) {
        return -1;
    }
    const int n = llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(ctx)));
    constexpr int lanes = 16; // side by side, for vector instructions
    float top[lanes];
    std::fill(top, top + lanes, -INFINITY);
    int i = 0;
    for (; i + lanes <= n; i += lanes) {
        for (int j = 0; j < lanes; j++) {
            top[j] = x[i + j] > top[j] ? x[i + j] : top[j];
        }
    }
    float most = *std::max_element(top, top + lanes);
    for (; i < n; i++) {
        most = x[i] > most ? x[i] : most;
    }
    const float *at = std::find(x, x + n, most);
    return at == x + n ? 0 : static_cast<llama_token>(at - x); // all are NaN: the first, as llama.cpp has it
}

llama_token cl_sample(llama_sampler *grammar, llama_sampler *chain, llama_context *ctx, int idx, char *err,
                      size_t err_len) {
    llama_token token = -1;
    guarded<llama_token>(err, err_len, [&]() -> llama_token * {
        const float *logits = llama_get_logits_ith(ctx, idx);
        const int n = llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(ctx)));
        std::vector<llama_token_data> row(n);
        for (int i = 0; i < n; i++) {
            row[i] = {i, logits[i], 0};
        }
        llama_token chosen = choose(nullptr, chain, row);
        llama_token_data one = {chosen, 1, 0};
        llama_token_data_array alone = {&one, 1, -1, false};
        llama_sampler_apply(grammar, &alone);
        if (one.logit == -INFINITY) {
            for (int i = 0; i < n; i++) {
                row[i] = {i, logits[i], 0};
            }
            chosen = choose(grammar, chain, row);
        }
        llama_sampler_accept(grammar, chosen);
        llama_sampler_accept(chain, chosen);
        token = chosen;
        return &token;
    });
    return token;
}

}  // extern "C"
