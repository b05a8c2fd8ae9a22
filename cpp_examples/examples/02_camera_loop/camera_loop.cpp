// Frames from memory, as a camera gives them: camera_loop BUNDLE FRAMES [THREADS] [HEIGHT WIDTH]
//
// Draws frames, runs each, prints a histogram of the latencies and what the process's memory did. More than one thread
// share the pipeline; the answers to a frame must be the same in all of them. With WARMUP frames the memory is compared
// before and after, so a leak shows.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <fundusrt/bundle.hpp>
#include <fundusrt/error.hpp>
#include <fundusrt/pipeline.hpp>
#include <fundusrt/sha256.hpp>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int kScenes = 4;
constexpr int kWarmup = 50;

// A bright disc with bright spots on black.
fundusrt::Bytes scene(int number, int64_t height, int64_t width) {
    fundusrt::Bytes frame(height, width, 3);
    const double radius = 0.46 * static_cast<double>(std::min(height, width));
    for (int64_t y = 0; y < height; ++y)
        for (int64_t x = 0; x < width; ++x) {
            const double dy = static_cast<double>(y) - static_cast<double>(height) / 2;
            const double dx = static_cast<double>(x) - static_cast<double>(width) / 2;
            const bool inside = std::hypot(dx, dy) < radius;
            const bool spot = std::sin(dx / (9.0 + number)) * std::sin(dy / 11.0) > 0.9;
            uint8_t* pixel = frame.row(y) + 3 * x;
            pixel[0] = inside ? (spot ? 235 : 170) : 0;
            pixel[1] = inside ? (spot ? 200 : 90 + 5 * number) : 0;
            pixel[2] = inside ? (spot ? 120 : 40) : 0;
        }
    return frame;
}

// Resident memory in KiB; 0 where the system does not tell.
long resident_kib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.rfind("VmRSS:", 0) == 0) return std::atol(line.c_str() + 6);
    return 0;
}

std::string digest(const fundusrt::Result& result) {
    return result.image.empty() ? fundusrt::sha256(result.mask.data(), result.mask.values.size())
                                : fundusrt::sha256(result.image.data(), result.image.values.size());
}

void print_histogram(std::vector<double> ms) {
    std::sort(ms.begin(), ms.end());
    const auto at = [&](double share) { return ms[static_cast<size_t>(share * static_cast<double>(ms.size() - 1))]; };
    std::printf("latency ms: min %.1f  p50 %.1f  p90 %.1f  p99 %.1f  max %.1f\n", ms.front(), at(0.5), at(0.9),
                at(0.99), ms.back());
    constexpr int kBars = 10;
    const double low = ms.front(), step = std::max((ms.back() - low) / kBars, 1e-9);
    for (int bar = 0; bar < kBars; ++bar) {
        const auto count = std::count_if(ms.begin(), ms.end(), [&](double value) {
            return std::min(static_cast<int>((value - low) / step), kBars - 1) == bar;
        });
        std::printf("%8.1f | %s %ld\n", low + bar * step,
                    std::string(static_cast<size_t>(50 * count) / ms.size(), '#').c_str(), static_cast<long>(count));
    }
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 3) {
        std::fprintf(stderr, "usage: camera_loop BUNDLE FRAMES [THREADS] [HEIGHT WIDTH]\n");
        return 2;
    }
    const int frames = std::atoi(arguments[2]), workers = count > 3 ? std::max(1, std::atoi(arguments[3])) : 1;
    const int64_t height = count > 5 ? std::atoll(arguments[4]) : 512,
                  width = count > 5 ? std::atoll(arguments[5]) : 640;
    try {
        const auto bundle = fundusrt::Bundle::open(arguments[1]);
        fundusrt::BackendOptions options;
        options.threads = workers > 1 ? 1 : 0;
        const auto pipeline = fundusrt::Pipeline::open(bundle, options);
        std::vector<fundusrt::Bytes> scenes;
        std::vector<std::string> expected;
        const auto run = [&](const fundusrt::Bytes& frame) {
            fundusrt::ImageView view;
            view.data = frame.data();
            view.height = frame.height;
            view.width = frame.width;
            view.channels = 3;
            return pipeline->run(view);
        };
        for (int i = 0; i < kScenes; ++i) {
            scenes.push_back(scene(i, height, width));
            expected.push_back(digest(run(scenes.back())));
        }
        for (int i = 0; i < std::min(kWarmup, frames); ++i) run(scenes[static_cast<size_t>(i % kScenes)]);
        const long before = resident_kib();
        std::mutex mutex;
        std::vector<double> latencies;
        int wrong = 0;
        const auto work = [&](int first) {
            for (int i = first; i < frames; i += workers) {
                const auto which = static_cast<size_t>(i % kScenes);
                const auto start = std::chrono::steady_clock::now();
                const fundusrt::Result result = run(scenes[which]);
                const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
                const bool same = digest(result) == expected[which];
                const std::lock_guard<std::mutex> guard(mutex);
                latencies.push_back(spent.count());
                wrong += same ? 0 : 1;
            }
        };
        std::vector<std::thread> threads;
        for (int i = 0; i < workers; ++i) threads.emplace_back(work, i);
        for (std::thread& thread : threads) thread.join();
        std::printf("%d frames of %lld x %lld px, %d threads, %s\n", frames, static_cast<long long>(height),
                    static_cast<long long>(width), workers, pipeline->provider().c_str());
        print_histogram(latencies);
        std::printf("%d answers differ between threads or frames\n", wrong);
        std::printf("resident memory: %ld KiB, grown by %ld KiB\n", resident_kib(), resident_kib() - before);
        return wrong == 0 ? 0 : 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
    }
    return 1;
}
