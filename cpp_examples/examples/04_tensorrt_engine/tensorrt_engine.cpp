// A bundle on engines that were built ahead of time: tensorrt_engine BUNDLE IMAGE.png NETWORK=ENGINE...
//
// The session replays copy in, network, copy out as one CUDA graph. The same image runs on ONNX Runtime on the CPU, and
// the pixels that differ are counted.
#include <cstdio>
#include <exception>
#include <fundusrt/bundle.hpp>
#include <fundusrt/pipeline.hpp>
#include <fundusrt/png.hpp>
#include <string>

int main(int count, char** arguments) {
    if (count < 4) {
        std::fprintf(stderr, "usage: tensorrt_engine BUNDLE IMAGE.png NETWORK=ENGINE...\n");
        return 2;
    }
    try {
        const auto bundle = fundusrt::Bundle::open(arguments[1]);
        fundusrt::BackendOptions options;
        options.backend = "tensorrt";
        options.device = "cuda";
        for (int i = 3; i < count; ++i) {
            const std::string pair = arguments[i];
            const size_t mark = pair.find('=');
            if (mark != std::string::npos) options.engines[pair.substr(0, mark)] = pair.substr(mark + 1);
        }
        const auto on_gpu = fundusrt::Pipeline::open(bundle, options);
        const auto on_cpu = fundusrt::Pipeline::open(bundle);
        const auto pixels = fundusrt::read_png(arguments[2]);
        const auto view = fundusrt::ImageView::of(pixels);
        on_gpu->run(view);  // the graph is captured on the first call
        const fundusrt::Result made = on_gpu->run(view), expected = on_cpu->run(view);
        for (const auto& [stage, ms] : made.timings_ms) std::printf("%-16s %8.2f ms\n", stage.c_str(), ms);
        const auto& first = made.image.empty() ? made.mask.values : made.image.values;
        const auto& second = made.image.empty() ? expected.mask.values : expected.image.values;
        size_t off = 0;
        for (size_t i = 0; i < first.size(); ++i) off += first[i] != second[i] ? 1 : 0;
        std::printf("%zu of %zu values differ from ONNX Runtime on the CPU\n", off, first.size());
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
    }
    return 1;
}
