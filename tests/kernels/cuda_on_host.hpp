// The part of CUDA C++ that the kernels use, for an ordinary compiler: included before all.cu, it turns each kernel
// into a host function. A grid runs block by block. The threads of a block are fibers that switch at barriers and
// votes, so shared memory, __syncthreads and __ballot_sync mean what they mean on a GPU; a kernel without them runs as
// loops. Not modelled: races, memory order, timing.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(...)

struct uint3 {
    unsigned x, y, z;
};
using dim3 = uint3;
struct alignas(2) uchar2 {
    unsigned char x, y;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(4) uchar4 {
    unsigned char x, y, z, w;
};
struct alignas(8) ushort4 {
    unsigned short x, y, z, w;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

inline uchar2 make_uchar2(unsigned char x, unsigned char y) { return {x, y}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline uchar4 make_uchar4(unsigned char x, unsigned char y, unsigned char z, unsigned char w) { return {x, y, z, w}; }

inline uint3 threadIdx, blockIdx, blockDim, gridDim;

inline uint32_t atomicAdd(uint32_t* at, uint32_t value) {
    const uint32_t before = *at;
    *at += value;
    return before;
}

inline uint32_t atomicOr(uint32_t* at, uint32_t value) {
    const uint32_t before = *at;
    *at |= value;
    return before;
}

namespace host {

constexpr size_t kStack = 64 * 1024;
constexpr unsigned kWarp = 32;

// Threads that wait for each other: a block or a warp.
struct Group {
    unsigned members = 0, arrived = 0;
    uint64_t generation = 0;
};

struct Fiber {
    uint3 index;
    ucontext_t start;
    jmp_buf here;
    bool started = false, done = false;
    unsigned votes = 0;
    std::unique_ptr<char[]> stack{new char[kStack]};
};

struct Block {
    std::vector<std::unique_ptr<Fiber>> fibers;
    std::vector<Group> warps;
    std::vector<std::vector<uint8_t>> ballots[2];  // by parity of the vote, then warp, then lane
    Group all;
    jmp_buf scheduler;
    size_t current = 0;
    void (*body)(void*) = nullptr;
    void* argument = nullptr;
};

inline Block block;

// Blocks and threads run from the last to the first: what depends on their order comes out otherwise.
inline bool backwards = false;

inline uint3 unravelled(uint64_t i, uint64_t count, const uint3& size) {
    const uint64_t at = backwards ? count - 1 - i : i;
    return {static_cast<unsigned>(at % size.x), static_cast<unsigned>(at / size.x % size.y),
            static_cast<unsigned>(at / size.x / size.y)};
}

inline void yield() {
    Fiber& fiber = *block.fibers[block.current];
    if (_setjmp(fiber.here) == 0) _longjmp(block.scheduler, 1);
    threadIdx = fiber.index;
}

inline void wait(Group& group) {
    const uint64_t generation = group.generation;
    if (++group.arrived >= group.members) {
        group.arrived = 0;
        ++group.generation;
        return;
    }
    while (group.generation == generation) yield();
}

inline void leave(Group& group) {
    --group.members;
    if (group.members && group.arrived >= group.members) {
        group.arrived = 0;
        ++group.generation;
    }
}

inline unsigned linear_thread() { return (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x; }

inline unsigned vote(bool mine) {
    const unsigned thread = linear_thread(), warp = thread / kWarp;
    std::vector<uint8_t>& ballot = block.ballots[block.fibers[block.current]->votes++ % 2][warp];
    ballot[thread % kWarp] = mine;
    wait(block.warps[warp]);
    unsigned bits = 0;
    for (unsigned lane = 0; lane < kWarp; ++lane) bits |= static_cast<unsigned>(ballot[lane]) << lane;
    return bits;
}

inline void enter() {
    Fiber& fiber = *block.fibers[block.current];
    threadIdx = fiber.index;
    block.body(block.argument);
    const unsigned thread = linear_thread();
    block.fibers[block.current]->done = true;
    leave(block.all);
    leave(block.warps[thread / kWarp]);
    _longjmp(block.scheduler, 1);
}

// One block; returns false if its threads wait for each other for ever.
inline bool run_block(void (*body)(void*), void* argument) {
    const unsigned threads = blockDim.x * blockDim.y * blockDim.z, warps = (threads + kWarp - 1) / kWarp;
    while (block.fibers.size() < threads) block.fibers.push_back(std::make_unique<Fiber>());
    block.body = body;
    block.argument = argument;
    block.all = Group{threads, 0, 0};
    block.warps.assign(warps, Group{});
    for (auto& ballots : block.ballots) ballots.assign(warps, std::vector<uint8_t>(kWarp, 0));
    for (unsigned t = 0; t < threads; ++t) {
        Fiber& fiber = *block.fibers[t];
        fiber.index = unravelled(t, threads, blockDim);
        fiber.started = fiber.done = false;
        fiber.votes = 0;
        ++block.warps[t / kWarp].members;  // as many in each warp from either end, whole warps given
    }
    for (;;) {
        unsigned alive = 0;
        uint64_t before = block.all.generation, after;
        for (const Group& warp : block.warps) before += warp.generation;
        for (block.current = 0; block.current < threads; ++block.current) {
            Fiber& fiber = *block.fibers[block.current];
            if (fiber.done) continue;
            if (_setjmp(block.scheduler) == 0) {
                if (fiber.started) _longjmp(fiber.here, 1);
                fiber.started = true;
                getcontext(&fiber.start);
                fiber.start.uc_stack.ss_sp = fiber.stack.get();
                fiber.start.uc_stack.ss_size = kStack;
                fiber.start.uc_link = nullptr;
                makecontext(&fiber.start, enter, 0);
                setcontext(&fiber.start);
            }
            if (!block.fibers[block.current]->done) ++alive;
        }
        if (alive == 0) return true;
        after = block.all.generation;
        for (const Group& warp : block.warps) after += warp.generation;
        if (after == before) return false;  // a whole round without a release
    }
}

}  // namespace host

inline void __syncthreads() { host::wait(host::block.all); }
inline unsigned __ballot_sync(unsigned, bool mine) { return host::vote(mine); }
