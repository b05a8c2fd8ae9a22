// The shared kernels from C++: an image shrunk on the GPU and on the CPU, byte for byte the same.
//
// One translation unit holds all kernels (all.cu); they take plain device pointers.
#include <cstdint>
#include <cstdio>
#include <fundusrt/preprocess.hpp>
#include <vector>

#include "all.cu"

namespace {

bool failed(cudaError_t result) {
    if (result == cudaSuccess) return false;
    std::fprintf(stderr, "backend-unavailable: CUDA: %s\n", cudaGetErrorString(result));
    return true;
}

}  // namespace

int main() {
    constexpr int64_t kHeight = 3072, kWidth = 3900, kSide = 512;
    fundusrt::Bytes image(kHeight, kWidth);
    for (int64_t i = 0; i < image.pixels(); ++i) image.data()[i] = static_cast<uint8_t>(i * 2654435761u >> 24);
    fundusrt::WholeImageSpec spec;
    spec.size = kSide;
    const fundusrt::Bytes expected = fundusrt::shrink_whole(image, spec);

    uint8_t *source = nullptr, *target = nullptr;
    if (failed(cudaMalloc(&source, image.values.size())) || failed(cudaMalloc(&target, expected.values.size())) ||
        failed(cudaMemcpy(source, image.data(), image.values.size(), cudaMemcpyHostToDevice)))
        return 1;
    frt_shrink_area<<<static_cast<unsigned>((kSide * kSide + 255) / 256), 256>>>(source, target, kHeight, kWidth, 1,
                                                                                 kSide, kSide);
    std::vector<uint8_t> made(expected.values.size());
    if (failed(cudaGetLastError()) || failed(cudaMemcpy(made.data(), target, made.size(), cudaMemcpyDeviceToHost)))
        return 1;
    cudaFree(source);
    cudaFree(target);
    size_t off = 0;
    for (size_t i = 0; i < made.size(); ++i) off += made[i] != expected.values[i] ? 1 : 0;
    std::printf("%zu of %zu bytes differ between GPU and CPU\n", off, made.size());
    return off == 0 ? 0 : 1;
}
