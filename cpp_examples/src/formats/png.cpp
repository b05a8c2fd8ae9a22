#include "fundusrt/png.hpp"

#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

#include "fundusrt/error.hpp"

namespace fundusrt {

namespace {

constexpr uint32_t kMaxSide = 1U << 20;
constexpr uint64_t kMaxPixels = 200'000'000;  // as fundusrt.read_image allows

struct Source {
    const char* at;
    size_t left;
};

void take(png_structp png, png_bytep to, png_size_t count) {
    auto* source = static_cast<Source*>(png_get_io_ptr(png));
    if (count > source->left) png_error(png, "the file is truncated");
    std::memcpy(to, source->at, count);
    source->at += count;
    source->left -= count;
}

struct Header {
    uint32_t width = 0, height = 0;
    int channels = 0, bits = 0;
};

// libpng reports errors by a long jump, which may not cross a C++ object: these functions have none. `message` keeps
// the error's text.
struct Decoder {
    png_structp png = nullptr;
    png_infop info = nullptr;
    char message[128] = "";

    static void keep(png_structp png, png_const_charp text) {
        auto* self = static_cast<Decoder*>(png_get_error_ptr(png));
        std::snprintf(self->message, sizeof self->message, "%s", text);
        png_longjmp(png, 1);
    }
    static void ignore(png_structp, png_const_charp) {}

    bool open(Source* source, Header* header) {
        png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, keep, ignore);
        if (png == nullptr) return false;
        info = png_create_info_struct(png);
        if (info == nullptr || setjmp(png_jmpbuf(png)) != 0) return false;
        png_set_user_limits(png, kMaxSide, kMaxSide);
        png_set_read_fn(png, source, take);
        png_read_info(png, info);
        png_set_expand(png);
        png_set_strip_alpha(png);
        const uint16_t probe = 1;
        if (*reinterpret_cast<const uint8_t*>(&probe) == 1) png_set_swap(png);
        png_set_interlace_handling(png);
        png_read_update_info(png, info);
        header->width = png_get_image_width(png, info);
        header->height = png_get_image_height(png, info);
        header->channels = png_get_channels(png, info);
        header->bits = png_get_bit_depth(png, info);
        return true;
    }

    bool rows(uint8_t** rows) {
        if (setjmp(png_jmpbuf(png)) != 0) return false;
        png_read_image(png, rows);
        png_read_end(png, nullptr);
        return true;
    }

    ~Decoder() { png_destroy_read_struct(&png, &info, nullptr); }
    Decoder() = default;
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;
};

[[noreturn]] void refuse(const std::string& source, const std::string& got) {
    throw_invalid_input(source, got, "an 8- or 16-bit grey or RGB PNG image", "copy or export it again");
}

template <typename T>
Array<T> pixels(Decoder& decoder, const Header& header, const std::string& source) {
    Array<T> made(header.height, header.width, header.channels);
    std::vector<uint8_t*> rows(header.height);
    for (uint32_t y = 0; y < header.height; ++y) rows[y] = reinterpret_cast<uint8_t*>(made.row(y));
    if (!decoder.rows(rows.data())) refuse(source, decoder.message);
    return made;
}

}  // namespace

std::variant<Bytes, Words> decode_png(const std::string& content, const std::string& source) {
    Source stream{content.data(), content.size()};
    Header header;
    Decoder decoder;
    if (!decoder.open(&stream, &header)) refuse(source, decoder.message);
    if (uint64_t{header.width} * header.height > kMaxPixels) refuse(source, "more than 200 megapixels");
    if (header.channels != 1 && header.channels != 3) refuse(source, std::to_string(header.channels) + " channels");
    if (header.bits == 16) return pixels<uint16_t>(decoder, header, source);
    if (header.bits == 8) return pixels<uint8_t>(decoder, header, source);
    refuse(source, std::to_string(header.bits) + " bits a sample");
}

std::variant<Bytes, Words> read_png(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw_invalid_input(path, "no such file", "a PNG image", "check the path");
    return decode_png(std::string(std::istreambuf_iterator<char>(file), {}), path);
}

void write_png(const std::string& path, const Bytes& image) {
    png_image header{};
    header.version = PNG_IMAGE_VERSION;
    header.width = static_cast<png_uint_32>(image.width);
    header.height = static_cast<png_uint_32>(image.height);
    header.format = image.channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
    const std::string partial = path + ".partial";
    const bool written = png_image_write_to_file(&header, partial.c_str(), 0, image.data(), 0, nullptr) != 0;
    std::error_code failed;
    if (written) std::filesystem::rename(partial, path, failed);
    if (written && !failed) return;
    const std::string reason = written ? failed.message() : header.message;
    std::filesystem::remove(partial, failed);
    throw Error(ErrorCode::kOutput, path, reason, "a file that can be written", "check the folder and the disk");
}

}  // namespace fundusrt
