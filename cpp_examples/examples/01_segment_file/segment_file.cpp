// One PNG file through a bundle: segment_file BUNDLE IMAGE.png OUT.png
#include <cstdio>
#include <exception>
#include <fundusrt/bundle.hpp>
#include <fundusrt/error.hpp>
#include <fundusrt/pipeline.hpp>
#include <fundusrt/png.hpp>

int main(int count, char** arguments) {
    if (count != 4) {
        std::fprintf(stderr, "usage: segment_file BUNDLE IMAGE.png OUT.png\n");
        return 2;
    }
    try {
        const auto bundle = fundusrt::Bundle::open(arguments[1]);
        const auto pipeline = fundusrt::Pipeline::open(bundle);
        const auto pixels = fundusrt::read_png(arguments[2]);
        const auto view = fundusrt::ImageView::of(pixels);
        const fundusrt::Result result = pipeline->run(view);
        std::printf("%s %s on %s\n", bundle.manifest().name.c_str(), bundle.manifest().version.c_str(),
                    result.provider.c_str());
        if (!result.gradable) std::printf("ungradable: %s\n", result.reason.c_str());
        if (!result.image.empty()) {
            fundusrt::write_png(arguments[3], result.image);
            std::printf("mean change %.3f grey levels\n", result.mean_change);
            return 0;
        }
        fundusrt::write_png(arguments[3], result.mask);
        std::printf("%zu lesions in %lld px of the field of view\n", result.lesions.size(),
                    static_cast<long long>(result.field_of_view_px));
        for (size_t i = 0; i < result.lesions.size() && i < 3; ++i)
            std::printf("%8lld px at row %7.1f, column %7.1f, probability %.4f\n",
                        static_cast<long long>(result.lesions[i].area_px), result.lesions[i].centroid_y,
                        result.lesions[i].centroid_x, result.lesions[i].mean_probability);
        return 0;
    } catch (const fundusrt::Error& error) {
        std::fprintf(stderr, "%s: %s\n", fundusrt::code_name(error.code()), error.what());
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
    }
    return 1;
}
