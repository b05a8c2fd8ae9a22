// A plain stand-in for libFuzzer: fuzz_bundle -max_total_time=SECONDS SEEDS, a folder. No coverage guides it.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

void mutate(std::string& content, std::mt19937_64& random) {
    const auto below = [&](size_t limit) { return static_cast<size_t>(random() % std::max<size_t>(limit, 1)); };
    for (size_t step = 0, steps = 1 + below(8); step < steps; ++step) {
        const size_t at = below(content.size());
        switch (random() % 5) {
            case 0:
                if (!content.empty()) content[at] = static_cast<char>(content[at] ^ (1 << random() % 8));
                break;
            case 1:
                if (!content.empty()) content[at] = static_cast<char>(random());
                break;
            case 2:
                content.erase(at, 1 + below(16));
                break;
            case 3:
                content.insert(at, content.substr(below(content.size()), below(64)));
                break;
            default:
                content.resize(at);
        }
    }
}

}  // namespace

int main(int count, char** arguments) {
    double seconds = 10;
    std::vector<std::string> seeds(1);
    for (int i = 1; i < count; ++i) {
        if (std::strncmp(arguments[i], "-max_total_time=", 16) == 0) {
            seconds = std::atof(arguments[i] + 16);
        } else if (std::filesystem::is_directory(arguments[i])) {
            for (const auto& entry : std::filesystem::directory_iterator(arguments[i])) {
                std::ifstream file(entry.path(), std::ios::binary);
                seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
            }
        }
    }
    std::mt19937_64 random(1);
    long runs = 0;
    const auto start = std::chrono::steady_clock::now();
    while (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < seconds) {
        std::string content = seeds[random() % seeds.size()];
        mutate(content, random);
        LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(content.data()), content.size());
        ++runs;
    }
    std::printf("%ld runs without a crash\n", runs);
}
