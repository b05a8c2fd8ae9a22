#include <cstdio>
#include <fundusrt/bundle.hpp>
#include <fundusrt/pipeline.hpp>

int main(int count, char** arguments) {
    if (count != 2) return 2;
    const auto pipeline = fundusrt::Pipeline::open(fundusrt::Bundle::open(arguments[1]));
    std::printf("%s on %s\n", pipeline->manifest().name.c_str(), pipeline->provider().c_str());
}
