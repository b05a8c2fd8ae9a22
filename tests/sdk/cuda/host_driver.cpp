// The part of CUDA's driver library that PyCUDA and this project call, on the host: memory is the host's, a stream does
// at once what it is given, and kernels are those of tests/kernels. For PyCUDA's own way with contexts, memory, argument
// buffers and captured graphs; what a GPU does in its own time is not modelled. `kernel_list.inc` names the kernels.
#include "host_kernels.cpp"

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace {

enum Status { kDone = 0, kInvalid = 1, kNoMemory = 2, kNoDevice = 101, kNoContext = 201, kNotFound = 500, kBadAddress = 700,
              kBadLaunch = 701, kFailed = 719, kCapturing = 900, kNotCaptured = 901 };

using Address = unsigned long long;
using Work = std::vector<std::function<void()>>;

struct Stream {
    bool capturing = false, broken = false;
    Work recorded;
};

constexpr size_t kMemory = size_t(12) << 30;

std::recursive_mutex one;  // the kernels keep their thread index in a global
std::map<Address, size_t> living;
size_t used = 0;
int primary;
thread_local std::vector<void*> contexts;

bool holds(Address at, size_t bytes) {
    auto next = living.upper_bound(at);
    if (next == living.begin()) return false;
    --next;
    return at + bytes <= next->first + next->second;
}

int enqueue(void* stream, std::function<void()> work) {
    auto* on = static_cast<Stream*>(stream);
    if (on != nullptr && on->capturing) on->recorded.push_back(std::move(work));
    else work();
    return kDone;
}

// One buffer of arguments, each aligned to its own size, as PyCUDA packs them.
template <typename... A>
int run_packed(void (*)(A...), const char* name, const unsigned* grid, const unsigned* block, char* buffer, size_t size) {
    void* pointers[sizeof...(A)];
    int sizes[sizeof...(A)];
    std::string kinds;
    size_t at = 0;
    int index = 0;
    ((at = (at + alignof(A) - 1) / alignof(A) * alignof(A), pointers[index] = buffer + at, sizes[index] = sizeof(A),
      kinds += kind<A>(), at += sizeof(A), ++index),
     ...);
    if (at != size) return kBadLaunch;
    const unsigned first[3] = {0, 0, 0};
    return host_launch(name, grid, first, grid, block, pointers, sizes, kinds.c_str(), sizeof...(A)) == kOk ? kDone : kFailed;
}

int run_named(const std::string& name, const unsigned* grid, const unsigned* block, char* buffer, size_t size) {
    std::lock_guard<std::recursive_mutex> lock(one);
#define KERNEL(kernel) \
    if (name == #kernel) return run_packed(kernel, #kernel, grid, block, buffer, size);
#include "kernel_list.inc"
    return kNotFound;
}

}  // namespace

#define NEEDS_CONTEXT \
    if (contexts.empty()) return kNoContext
#define LOCKED std::lock_guard<std::recursive_mutex> lock(one)

extern "C" {

int cuInit(unsigned) { return kDone; }
int cuDriverGetVersion(int* version) { return *version = 13000, kDone; }
int cuGetErrorString(int status, const char** text) {
    static thread_local char written[40];
    std::snprintf(written, sizeof written, "status %d", status);
    *text = written;
    return kDone;
}

int cuDeviceGetCount(int* count) { return *count = 1, kDone; }
int cuDeviceGet(int* device, int ordinal) { return *device = 0, ordinal == 0 ? kDone : kNoDevice; }
int cuDeviceGetName(char* name, int length, int) { return std::snprintf(name, length, "Host"), kDone; }
int cuDeviceComputeCapability(int* major, int* minor, int) { return *major = 9, *minor = 0, kDone; }
int cuDeviceGetAttribute(int* value, int which, int) { return *value = which == 75 ? 9 : which == 76 ? 0 : 1, kDone; }
int cuDevicePrimaryCtxRetain(void** context, int) { return *context = &primary, kDone; }
int cuDevicePrimaryCtxRelease_v2(int) { return kDone; }

int cuCtxPushCurrent_v2(void* context) { return contexts.push_back(context), kDone; }
int cuCtxPopCurrent_v2(void** context) {
    NEEDS_CONTEXT;
    if (context != nullptr) *context = contexts.back();
    return contexts.pop_back(), kDone;
}
int cuCtxGetCurrent(void** context) { return *context = contexts.empty() ? nullptr : contexts.back(), kDone; }
int cuCtxGetDevice(int* device) {
    NEEDS_CONTEXT;
    return *device = 0, kDone;
}
int cuCtxDetach(void*) { return kNoContext; }  // as for a primary context

int cuMemAlloc_v2(Address* at, size_t bytes) {
    NEEDS_CONTEXT;
    LOCKED;
    void* memory = nullptr;
    if (used + bytes > kMemory || posix_memalign(&memory, 512, bytes) != 0) return kNoMemory;
    used += living[*at = reinterpret_cast<Address>(memory)] = bytes;
    return kDone;
}
int cuMemFree_v2(Address at) {
    NEEDS_CONTEXT;
    LOCKED;
    if (living.count(at) == 0) return kInvalid;
    used -= living[at];
    living.erase(at);
    std::free(reinterpret_cast<void*>(at));
    return kDone;
}
int cuMemGetInfo_v2(size_t* free, size_t* total) {
    NEEDS_CONTEXT;
    return *total = kMemory, *free = kMemory - used, kDone;
}
int cuMemHostAlloc(void** memory, size_t bytes, unsigned) {
    NEEDS_CONTEXT;
    return posix_memalign(memory, 512, bytes) == 0 ? kDone : kNoMemory;
}
int cuMemFreeHost(void* memory) {
    NEEDS_CONTEXT;
    return std::free(memory), kDone;
}
int cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t bytes, void* stream) {
    NEEDS_CONTEXT;
    LOCKED;
    if (!holds(to, bytes)) return kBadAddress;
    return enqueue(stream, [=] { std::memcpy(reinterpret_cast<void*>(to), from, bytes); });
}
int cuMemcpyDtoHAsync_v2(void* to, Address from, size_t bytes, void* stream) {
    NEEDS_CONTEXT;
    LOCKED;
    if (!holds(from, bytes)) return kBadAddress;
    return enqueue(stream, [=] { std::memcpy(to, reinterpret_cast<void*>(from), bytes); });
}
int cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, void* stream) {
    NEEDS_CONTEXT;
    LOCKED;
    if (!holds(from, bytes) || !holds(to, bytes)) return kBadAddress;
    return enqueue(stream, [=] { std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes); });
}
int cuMemsetD8Async(Address to, unsigned char value, size_t bytes, void* stream) {
    NEEDS_CONTEXT;
    LOCKED;
    if (!holds(to, bytes)) return kBadAddress;
    return enqueue(stream, [=] { std::memset(reinterpret_cast<void*>(to), value, bytes); });
}

int cuStreamCreate(void** stream, unsigned) {
    NEEDS_CONTEXT;
    return *stream = new Stream, kDone;
}
int cuStreamDestroy_v2(void* stream) { return delete static_cast<Stream*>(stream), kDone; }
int cuStreamSynchronize(void* stream) {
    NEEDS_CONTEXT;
    auto* on = static_cast<Stream*>(stream);
    return on->capturing ? (on->broken = true, kCapturing) : kDone;
}
int cuEventCreate(void** event, unsigned) {
    NEEDS_CONTEXT;
    return *event = new double(0), kDone;
}
int cuEventDestroy_v2(void* event) { return delete static_cast<double*>(event), kDone; }
int cuEventRecord(void* event, void*) {
    NEEDS_CONTEXT;
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    *static_cast<double*>(event) = 1e3 * now.tv_sec + now.tv_nsec / 1e6;
    return kDone;
}
int cuEventSynchronize(void*) { return kDone; }
int cuEventElapsedTime_v2(float* ms, void* begin, void* end) {
    return *ms = static_cast<float>(*static_cast<double*>(end) - *static_cast<double*>(begin)), kDone;
}
int cuEventElapsedTime(float* ms, void* begin, void* end) { return cuEventElapsedTime_v2(ms, begin, end); }

int cuModuleLoadDataEx(void** module, const void*, unsigned, void*, void*) {
    NEEDS_CONTEXT;
    return *module = &primary, kDone;
}
int cuModuleUnload(void*) { return kDone; }
int cuModuleGetFunction(void** function, void*, const char* name) {
    NEEDS_CONTEXT;
    return *function = new std::string(name), kDone;
}
int cuFuncSetBlockShape(void*, int, int, int) {
    NEEDS_CONTEXT;
    return kDone;
}
int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned,
                   void* stream, void**, void** extra) {
    NEEDS_CONTEXT;
    std::vector<char> packed;
    const char* buffer = nullptr;
    size_t size = 0;
    for (void** each = extra; each != nullptr && *each != nullptr; each += 2) {  // CU_LAUNCH_PARAM_BUFFER_POINTER, _SIZE
        if (*each == reinterpret_cast<void*>(1)) buffer = static_cast<const char*>(each[1]);
        if (*each == reinterpret_cast<void*>(2)) size = *static_cast<size_t*>(each[1]);
    }
    if (buffer == nullptr || gy > 65535 || gz > 65535 || bx * by * bz > 1024) return kInvalid;
    packed.assign(buffer, buffer + size);
    int status = kDone;
    const std::string name = *static_cast<std::string*>(function);
    auto work = [=, &status]() mutable {
        const unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
        status = run_named(name, grid, block, packed.data(), packed.size());
    };
    auto* on = static_cast<Stream*>(stream);
    if (on == nullptr || !on->capturing) return work(), status;
    on->recorded.push_back([=]() mutable {
        const unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
        run_named(name, grid, block, packed.data(), packed.size());
    });
    return kDone;
}

int cuStreamBeginCapture_v2(void* stream, int) {
    *static_cast<Stream*>(stream) = Stream{true, false, {}};
    return kDone;
}
int cuStreamEndCapture(void* stream, void** graph) {
    auto* on = static_cast<Stream*>(stream);
    on->capturing = false;
    *graph = on->broken ? nullptr : new Work(on->recorded);
    return on->broken ? kNotCaptured : kDone;
}
int cuGraphInstantiateWithFlags(void** made, void* graph, unsigned long long) {
    return *made = new Work(*static_cast<Work*>(graph)), kDone;
}
int cuGraphLaunch(void* made, void*) {
    NEEDS_CONTEXT;
    for (auto& work : *static_cast<Work*>(made)) work();
    return kDone;
}
int cuGraphDestroy(void* graph) { return delete static_cast<Work*>(graph), kDone; }
int cuGraphExecDestroy(void* made) { return delete static_cast<Work*>(made), kDone; }

}  // extern "C"
