// What of the CUDA runtime our host code uses. Device memory has addresses at
// which nothing is mapped: the host that follows one faults, as it would on a
// card, and a launch turns them into those of the memory itself, which nobody
// else knows. Each allocation ends where its page does, and freed ones are
// never used again. Streams run what they were given when somebody waits, so
// that a missing wait shows. CUDA_LAUNCH_BLOCKING=1 makes them run at once.
#ifndef CLOISTER_EMU_RUNTIME_H
#define CLOISTER_EMU_RUNTIME_H

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <type_traits>

#include "fibers.h"

enum cudaError_t {
    cudaSuccess               = 0,
    cudaErrorInvalidValue     = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidDevice    = 101,
    cudaErrorNoDevice         = 100,
    cudaErrorInsufficientDriver = 35,
    cudaErrorLaunchFailure    = 719,
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum { cudaFuncAttributeMaxDynamicSharedMemorySize = 8, cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2 };

struct cudaDeviceProp {
    char   name[256];
    int    major, minor;
    size_t totalGlobalMem;
};

namespace emu {

enum { DEVICES = 2 };
static const size_t SPACE = (size_t) 1 << 40;

struct stream {
    std::vector<std::function<void()>> todo;
    size_t                             begun = 0; // of all that it was ever given
    size_t                             given = 0;
};

struct event {
    stream * of = nullptr;
    size_t   at = 0;
};

static thread_local int device = 0;
// shared_limit is the most shared memory of a block, in bytes: of compute capability 8.6 and above, and of 7.5.
inline size_t shared_limit() { return (device == 0 ? 99 : 64) << 10; }

struct state {
    std::recursive_mutex     lock;
    char *                   names  = nullptr; // device addresses: nothing is mapped here
    char *                   memory = nullptr; // what they stand for
    size_t                   next   = 0;
    std::map<char *, size_t> live; // by device address
    size_t                   used = 0, limit = (size_t) 4 << 30;
    std::map<char *, size_t> pinned;
    std::set<const void *>   large; // kernels that may use more than 48 KiB of shared memory
    std::set<stream *>       streams;
    cudaError_t              last = cudaSuccess, lost = cudaSuccess;
    long                     fail_in = -1; // launches until the device is lost
    bool                     blocking = getenv("CUDA_LAUNCH_BLOCKING") != nullptr;
};

inline state & S() {
    static state s;
    return s;
}
typedef std::lock_guard<std::recursive_mutex> guard;

inline void space() {
    state & s = S();
    if (s.names != nullptr) {
        return;
    }
    s.names  = (char *) mmap(NULL, SPACE, PROT_NONE, MAP_ANON | MAP_PRIVATE | MAP_NORESERVE, -1, 0);
    s.memory = (char *) mmap(NULL, SPACE, PROT_NONE, MAP_ANON | MAP_PRIVATE | MAP_NORESERVE, -1, 0);
    if (s.names == MAP_FAILED || s.memory == MAP_FAILED) {
        die("no address space");
    }
}

inline bool is_device(const void * p) { return S().names != nullptr && (char *) p >= S().names && (char *) p < S().names + SPACE; }

// real is the memory behind bytes of device memory, which must lie in one allocation.
inline char * real(const void * p, size_t bytes) {
    state & s  = S();
    auto    it = s.live.upper_bound((char *) p);
    if (it == s.live.begin() || (--it, (char *) p + bytes > it->first + it->second)) {
        die("a copy reaches beyond an allocation of device memory, or reads freed memory");
    }
    return s.memory + ((char *) p - s.names);
}

// device turns the pointers among a kernel's arguments into addresses that it can follow.
template <class T> T device_pointer(T p) {
    if (p == nullptr) {
        return p;
    }
    if (!is_device((const void *) p)) {
        die("a kernel was given a pointer that is not to device memory");
    }
    return (T) (S().memory + ((char *) p - S().names));
}
struct visitor {
    template <class T> void one(T & p) const {
        if constexpr (std::is_pointer_v<T>) {
            p = device_pointer(p);
        } else {
            p.pointers(*this);
        }
    }
    template <class... T> void all(T &... p) const { (one(p), ...); }
};
template <class T, class = void> struct has_pointers : std::false_type {};
template <class T> struct has_pointers<T, std::void_t<decltype(std::declval<T &>().pointers(visitor{}))>> : std::true_type {};
template <class T> T argument(T v) {
    if constexpr (std::is_pointer_v<T>) {
        return device_pointer(v);
    } else if constexpr (has_pointers<T>::value) {
        v.pointers(visitor{});
        return v;
    } else {
        return v;
    }
}

inline void drain(stream * st, size_t until) {
    while (st->begun < until) {
        auto f = std::move(st->todo.front());
        st->todo.erase(st->todo.begin());
        st->begun++;
        f();
    }
}

inline cudaError_t give(stream * st, std::function<void()> f) {
    if (S().lost != cudaSuccess) {
        return S().last = S().lost;
    }
    st->todo.push_back(std::move(f));
    st->given++;
    if (S().blocking || st->todo.size() > 64) {
        drain(st, st->given);
    }
    return cudaSuccess;
}

inline cudaError_t bad(cudaError_t e) { return S().last = e; }

template <class K, class... A> void launch(const char * name, K kernel, dim3 grid, dim3 threads, size_t shared, stream * st, A... a) {
    guard   g(S().lock);
    state & s = S();
    size_t  n = (size_t) threads.x * threads.y * threads.z;
    if (n == 0 || n > MOST || n % WARP != 0 || grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535 ||
        shared > shared_limit() || (shared > (48 << 10) && s.large.count((const void *) kernel) == 0)) {
        fprintf(stderr, "emulated CUDA: %s: cannot launch %ux%ux%u blocks of %zu threads with %zu bytes\n", name, grid.x, grid.y, grid.z, n, shared);
        bad(cudaErrorInvalidValue);
        return;
    }
    if (s.fail_in >= 0 && s.fail_in-- == 0) {
        s.lost = cudaErrorLaunchFailure;
    }
    give(st, [=] { run(name, grid, threads, shared, [=] { kernel(argument(a)...); }); });
}

}  // namespace emu

typedef emu::stream * cudaStream_t;
typedef emu::event *  cudaEvent_t;

inline const char * cudaGetErrorName(cudaError_t e) {
    switch (e) {
        case cudaSuccess: return "cudaSuccess";
        case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
        case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
        case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
        default: return "cudaErrorUnknown";
    }
}
inline const char * cudaGetErrorString(cudaError_t) { return "emulated"; }
inline cudaError_t  cudaGetLastError() {
    emu::guard  g(emu::S().lock);
    cudaError_t e = emu::S().last;
    emu::S().last = emu::S().lost;
    return e;
}
inline cudaError_t cudaGetDeviceCount(int * n) {
    *n = emu::DEVICES;
    return cudaSuccess;
}
// The second card is one without tensor cores for BF16.
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp * p, int i) {
    snprintf(p->name, sizeof p->name, "CUDA emulated on the CPU");
    p->major          = i == 0 ? 9 : 7;
    p->minor          = i == 0 ? 0 : 5;
    p->totalGlobalMem = emu::S().limit;
    return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int i) {
    if (i < 0 || i >= emu::DEVICES) {
        return emu::bad(cudaErrorInvalidDevice);
    }
    emu::device = i;
    return cudaSuccess;
}
inline cudaError_t cudaMemGetInfo(size_t * free, size_t * total) {
    emu::guard g(emu::S().lock);
    *total = emu::S().limit;
    *free  = emu::S().limit - std::min(emu::S().limit, emu::S().used);
    return emu::S().lost;
}

inline cudaError_t cudaMalloc(void ** p, size_t bytes) {
    emu::guard   g(emu::S().lock);
    emu::state & s = emu::S();
    if (s.lost != cudaSuccess) {
        return emu::bad(s.lost);
    }
    emu::space();
    size_t whole = (std::max(bytes, (size_t) 1) + 15) / 16 * 16, pages = (whole + emu::PAGE - 1) / emu::PAGE * emu::PAGE;
    if (whole > s.limit || s.used > s.limit - whole || s.next + pages + emu::PAGE > emu::SPACE) {
        return emu::bad(cudaErrorMemoryAllocation);
    }
    if (mprotect(s.memory + s.next, pages, PROT_READ | PROT_WRITE) != 0) {
        return emu::bad(cudaErrorMemoryAllocation);
    }
    memset(s.memory + s.next, 0xff, pages);
    char * at = s.names + s.next + pages - whole;
    s.live[at] = whole;
    s.used += whole;
    s.next += pages + emu::PAGE;
    *p = at;
    return cudaSuccess;
}
inline cudaError_t cudaFree(void * p) {
    emu::guard   g(emu::S().lock);
    emu::state & s = emu::S();
    if (p == nullptr) {
        return cudaSuccess;
    }
    for (emu::stream * st : s.streams) {
        emu::drain(st, st->given);
    }
    auto it = s.live.find((char *) p);
    if (it == s.live.end()) {
        emu::die("cudaFree of what cudaMalloc did not give");
    }
    size_t from = (size_t) (it->first - s.names) / emu::PAGE * emu::PAGE, to = (size_t) (it->first - s.names) + it->second;
    for (char * c = s.memory + from; c < s.memory + (it->first - s.names); c++) {
        if (*c != (char) 0xff) {
            emu::die("a kernel wrote before an allocation");
        }
    }
    madvise(s.memory + from, to - from, MADV_DONTNEED);
    mprotect(s.memory + from, to - from, PROT_NONE);
    s.used -= it->second;
    s.live.erase(it);
    return s.lost;
}
inline cudaError_t cudaMallocHost(void ** p, size_t bytes) {
    emu::guard g(emu::S().lock);
    *p = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    if (*p == nullptr) {
        return emu::bad(cudaErrorMemoryAllocation);
    }
    emu::S().pinned[(char *) *p] = bytes;
    return cudaSuccess;
}
inline cudaError_t cudaFreeHost(void * p) {
    emu::guard g(emu::S().lock);
    if (p != nullptr) {
        emu::S().pinned.erase((char *) p);
        free(p);
    }
    return cudaSuccess;
}

namespace emu {
inline bool is_pinned(const void * p) {
    auto it = S().pinned.upper_bound((char *) p);
    return it != S().pinned.begin() && (--it, (char *) p < it->first + it->second);
}
}  // namespace emu

inline cudaError_t cudaMemcpyAsync(void * dst, const void * src, size_t n, cudaMemcpyKind kind, cudaStream_t st) {
    emu::guard g(emu::S().lock);
    bool       to = kind != cudaMemcpyDeviceToHost, from = kind != cudaMemcpyHostToDevice;
    if (emu::is_device(dst) != to || emu::is_device(src) != from) {
        emu::die("cudaMemcpyAsync: host and device pointers do not fit its kind");
    }
    auto copy = [=](const void * s) { memcpy(to ? emu::real(dst, n) : (char *) dst, from ? emu::real(src, n) : (const char *) s, n); };
    if (!from && !emu::is_pinned(src)) { // as CUDA does: what is not pinned is copied before the call returns
        std::vector<char> kept((const char *) src, (const char *) src + n);
        return emu::give(st, [=] { copy(kept.data()); });
    }
    cudaError_t e = emu::give(st, [=] { copy(src); });
    if (e == cudaSuccess && !to && !emu::is_pinned(dst)) {
        emu::drain(st, st->given);
    }
    return e;
}
inline cudaError_t cudaMemsetAsync(void * p, int v, size_t n, cudaStream_t st) {
    emu::guard g(emu::S().lock);
    return emu::give(st, [=] { memset(emu::real(p, n), v, n); });
}
inline cudaError_t cudaMemcpy2DAsync(void * dst, size_t dpitch, const void * src, size_t spitch, size_t width, size_t rows, cudaMemcpyKind kind,
                                     cudaStream_t st) {
    cudaError_t e = cudaSuccess;
    for (size_t i = 0; i < rows && e == cudaSuccess; i++) {
        e = cudaMemcpyAsync((char *) dst + i * dpitch, (const char *) src + i * spitch, width, kind, st);
    }
    return e;
}
inline cudaError_t cudaMemset2DAsync(void * p, size_t pitch, int v, size_t width, size_t rows, cudaStream_t st) {
    cudaError_t e = cudaSuccess;
    for (size_t i = 0; i < rows && e == cudaSuccess; i++) {
        e = cudaMemsetAsync((char *) p + i * pitch, v, width, st);
    }
    return e;
}
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t * st, unsigned) {
    emu::guard g(emu::S().lock);
    emu::S().streams.insert(*st = new emu::stream);
    return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t st) {
    emu::guard g(emu::S().lock);
    if (emu::S().lost == cudaSuccess) {
        emu::drain(st, st->given);
    }
    return emu::S().lost;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t st) {
    cudaStreamSynchronize(st);
    emu::guard g(emu::S().lock);
    emu::S().streams.erase(st);
    delete st;
    return cudaSuccess;
}
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t * e, unsigned) {
    *e = new emu::event;
    return cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t e) {
    delete e;
    return cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t st) {
    emu::guard g(emu::S().lock);
    e->of = st;
    e->at = st->given;
    return emu::S().lost;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t e) {
    emu::guard g(emu::S().lock);
    if (e->of != nullptr && emu::S().lost == cudaSuccess) {
        emu::drain(e->of, e->at);
    }
    return emu::S().lost;
}
inline cudaError_t cudaStreamWaitEvent(cudaStream_t st, cudaEvent_t e, unsigned = 0) {
    emu::guard g(emu::S().lock);
    emu::event copy = *e;
    return emu::give(st, [copy] {
        if (copy.of != nullptr) {
            emu::drain(copy.of, copy.at);
        }
    });
}
inline cudaError_t cudaFuncSetAttribute(const void * f, int, int) {
    emu::guard g(emu::S().lock);
    emu::S().large.insert(f);
    return cudaSuccess;
}

#endif
