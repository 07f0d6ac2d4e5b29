// The card: memory, the ring of small arrays, and waiting.
#include "card.cuh"

static const size_t RING_ALIGN = 256;

static void explain(char * reason, size_t room, cudaError_t e) {
    snprintf(reason, room, "%s (%s)", cudaGetErrorName(e), cudaGetErrorString(e));
}

int cd_devices(int * count, char * reason, size_t room) {
    *count        = 0;
    reason[0]     = 0;
    cudaError_t e = cudaGetDeviceCount(count);
    if (e != cudaSuccess) {
        *count = 0;
        cudaGetLastError();
        if (e != cudaErrorNoDevice && e != cudaErrorInsufficientDriver) {
            explain(reason, room, e);
            return CD_DEVICE;
        }
    }
    return CK_OK;
}

int cd_device_info(int index, cd_device * out) {
    cudaDeviceProp p;
    size_t         free = 0, total = 0;
    memset(out, 0, sizeof *out);
    if (cudaGetDeviceProperties(&p, index) != cudaSuccess || cudaSetDevice(index) != cudaSuccess || cudaMemGetInfo(&free, &total) != cudaSuccess) {
        snprintf(out->name, sizeof out->name, "%s", cudaGetErrorName(cudaGetLastError()));
        return CD_DEVICE;
    }
    snprintf(out->name, sizeof out->name, "%s", p.name);
    out->major = p.major;
    out->minor = p.minor;
    out->total = (int64_t) total;
    out->free  = (int64_t) free;
    return CK_OK;
}

#ifndef CLOISTER_EMU
static const char * open_blas(cd_card * c) {
    cublasStatus_t s = cublasCreate(&c->blas);
    if (s == CUBLAS_STATUS_SUCCESS) {
        s = cublasSetStream(c->blas, c->stream);
    }
    if (s == CUBLAS_STATUS_SUCCESS) {
        s = cublasSetWorkspace(c->blas, c->workspace, c->workspace_bytes);
    }
    return s == CUBLAS_STATUS_SUCCESS ? nullptr : cublasGetStatusString(s);
}
static void close_blas(cd_card * c) {
    if (c->blas != nullptr) {
        cublasDestroy(c->blas);
    }
}
#else
static const char * open_blas(cd_card *) { return nullptr; }
static void         close_blas(cd_card *) {}
#endif

int cd_open(int index, bool precise, size_t staging, size_t workspace, cd_card ** out, char * reason, size_t room) {
    *out          = nullptr;
    cd_card *   c = new cd_card;
    cudaDeviceProp p;
    cudaError_t e = cudaSetDevice(index);
    c->index           = index;
    c->precise         = precise;
    c->workspace_bytes = workspace;
    c->ring_bytes      = staging;
    if (e == cudaSuccess) {
        e = cudaGetDeviceProperties(&p, index);
    }
    if (e == cudaSuccess) {
        c->tensor = p.major >= 8;
        e         = cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking);
    }
    if (e == cudaSuccess) {
        e = cudaStreamCreateWithFlags(&c->aside, cudaStreamNonBlocking);
    }
    for (cudaEvent_t & event : c->events) {
        if (e == cudaSuccess) {
            e = cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
        }
    }
    if (e == cudaSuccess) {
        e = cudaMalloc(&c->workspace, workspace);
    }
    if (e == cudaSuccess) {
        e = cudaMalloc((void **) &c->ring, staging);
    }
    if (e == cudaSuccess) {
        e = cudaMallocHost((void **) &c->ring_host, staging);
    }
    const char * blas = e == cudaSuccess ? open_blas(c) : nullptr;
    if (e == cudaSuccess && blas == nullptr) {
        *out = c;
        return CK_OK;
    }
    if (e != cudaSuccess) {
        explain(reason, room, e);
        cudaGetLastError();
    } else {
        snprintf(reason, room, "cuBLAS: %s", blas);
    }
    cd_close(c);
    return e == cudaErrorMemoryAllocation ? (int) CK_NOMEM : (int) CD_DEVICE;
}

void cd_close(cd_card * c) {
    if (c == nullptr) {
        return;
    }
    cudaSetDevice(c->index);
    close_blas(c);
    for (cudaStream_t s : {c->aside, c->stream}) {
        if (s != nullptr) {
            cudaStreamSynchronize(s);
            cudaStreamDestroy(s);
        }
    }
    for (cudaEvent_t event : c->events) {
        if (event != nullptr) {
            cudaEventDestroy(event);
        }
    }
    cudaFree(c->workspace);
    cudaFree(c->scratch);
    cudaFree(c->ring);
    cudaFreeHost(c->ring_host);
    delete c;
}

const char * cd_error(const cd_card * c) { return c->message; }

int cd_alloc(cd_card * c, size_t bytes, void ** out) {
    ENTER(c);
    *out = nullptr;
    return c->ok(cudaMalloc(out, bytes), "cudaMalloc");
}

void cd_free(cd_card * c, void * p) {
    cudaSetDevice(c->index);
    if (p != nullptr) {
        c->wait(); // nothing that was begun uses it any longer
        c->ok(cudaFree(p), "cudaFree");
    }
}

int cd_memory(cd_card * c, size_t * free, size_t * total) {
    ENTER(c);
    return c->ok(cudaMemGetInfo(free, total), "cudaMemGetInfo");
}

// What is not small goes from and to pageable memory by the runtime's own staging; both calls wait, as src and dst are Go's.
int cd_put(cd_card * c, void * dst, const void * src, size_t bytes) {
    ENTER(c);
    if (bytes == 0) {
        return CK_OK;
    }
    if (bytes <= c->ring_bytes / 4) {
        char * host;
        c->slot(bytes, &host);
        memcpy(host, src, bytes);
        return c->ok(cudaMemcpyAsync(dst, host, bytes, cudaMemcpyHostToDevice, c->stream), "put");
    }
    c->ok(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyHostToDevice, c->stream), "put");
    return c->wait();
}

int cd_get(cd_card * c, void * dst, const void * src, size_t bytes) {
    ENTER(c);
    if (bytes == 0) {
        return c->wait();
    }
    if (bytes <= c->ring_bytes / 4) {
        char * host;
        c->slot(bytes, &host);
        c->ok(cudaMemcpyAsync(host, src, bytes, cudaMemcpyDeviceToHost, c->stream), "get");
        if (c->wait() == CK_OK) {
            memcpy(dst, host, bytes);
        }
        return c->failed;
    }
    c->ok(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToHost, c->stream), "get");
    return c->wait();
}

int cd_wait(cd_card * c) {
    ENTER(c);
    return c->wait();
}

int cd_pin(cd_card * c, size_t bytes, void ** out) {
    ENTER(c);
    *out = nullptr;
    return c->ok(cudaMallocHost(out, bytes), "cudaMallocHost");
}

void cd_unpin(cd_card * c, void * p) {
    cudaSetDevice(c->index);
    if (p != nullptr) {
        c->ok(cudaStreamSynchronize(c->aside), "cudaStreamSynchronize");
        c->ok(cudaFreeHost(p), "cudaFreeHost");
    }
}

int cd_begin(cd_card * c, void * dst, const void * src, size_t bytes, bool to_host, int * ticket) {
    ENTER(c);
    int free = 0;
    while (free < 32 && c->busy[free]) {
        free++;
    }
    if (free == 32) {
        return CK_SHAPE; // more copies than anybody needs: some are never joined
    }
    cudaEvent_t event = c->events[free];
    c->ok(cudaEventRecord(event, c->stream), "cudaEventRecord");
    c->ok(cudaStreamWaitEvent(c->aside, event, 0), "cudaStreamWaitEvent");
    c->ok(cudaMemcpyAsync(dst, src, bytes, to_host ? cudaMemcpyDeviceToHost : cudaMemcpyHostToDevice, c->aside), "copy");
    c->ok(cudaEventRecord(event, c->aside), "cudaEventRecord");
    c->busy[free] = true;
    *ticket       = free;
    return c->failed;
}

int cd_join(cd_card * c, int ticket) {
    ENTER(c);
    if (ticket < 0 || ticket >= 32 || !c->busy[ticket]) {
        return CK_SHAPE;
    }
    c->busy[ticket] = false;
    return c->ok(cudaStreamWaitEvent(c->stream, c->events[ticket], 0), "cudaStreamWaitEvent");
}

// The old block is given back first: two at a time may not fit.
int cd_scratch(cd_card * c, size_t bytes) {
    ENTER(c);
    if (bytes <= c->scratch_bytes) {
        return CK_OK;
    }
    if (c->wait() != CK_OK) {
        return c->failed;
    }
    cudaFree(c->scratch);
    c->scratch       = nullptr;
    c->scratch_bytes = 0;
    int code         = c->ok(cudaMalloc((void **) &c->scratch, bytes), "cudaMalloc");
    if (code == CK_OK) {
        c->scratch_bytes = bytes;
    }
    return code;
}

size_t cd_held(const cd_card * c) { return c->workspace_bytes + c->scratch_bytes + c->ring_bytes; }

// room makes sure that the slots of one call, bytes in all, fit into the ring.
int cd_card::room(size_t bytes) {
    bytes += 16 * RING_ALIGN;
    if (bytes <= ring_bytes) {
        return failed;
    }
    if (wait() != CK_OK) {
        return failed;
    }
    cudaFree(ring);
    cudaFreeHost(ring_host);
    ring       = nullptr;
    ring_host  = nullptr;
    ring_bytes = ring_at = 0;
    int code             = ok(cudaMalloc((void **) &ring, bytes), "cudaMalloc");
    if (code == CK_OK) {
        code = ok(cudaMallocHost((void **) &ring_host, bytes), "cudaMallocHost");
    }
    if (code == CK_OK) {
        ring_bytes = bytes;
    }
    return code;
}

// slot gives bytes of the ring, on the host and on the card. When it begins anew, everything that used it has to be over; that is
// once in hundreds of calls.
void * cd_card::slot(size_t bytes, char ** host) {
    bytes = (bytes + RING_ALIGN - 1) / RING_ALIGN * RING_ALIGN;
    if (ring_at + bytes > ring_bytes) {
        wait();
        ring_at = 0;
    }
    *host     = ring_host + ring_at;
    char * at = ring + ring_at;
    ring_at += bytes;
    return at;
}

// upload copies a small array to the card; it is there for the call that uploads it.
void * cd_card::upload(const void * src, size_t bytes) {
    char * host = nullptr;
    void * at   = slot(bytes, &host);
    memcpy(host, src, bytes);
    ok(cudaMemcpyAsync(at, host, bytes, cudaMemcpyHostToDevice, stream), "upload");
    return at;
}
