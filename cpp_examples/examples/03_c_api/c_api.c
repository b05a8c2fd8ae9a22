/* The C interface from C99: c_api BUNDLE. Runs a drawn 16-bit frame whose rows have gaps between them. */
#include <fundusrt/fundusrt.h>
#include <stdio.h>
#include <stdlib.h>

#define HEIGHT 480
#define WIDTH 600
#define STRIDE 640

static int failed(frt_status status) {
    if (status == FRT_OK) return 0;
    fprintf(stderr, "%s: %s\n", frt_status_name(status), frt_last_error());
    return 1;
}

static void draw(uint16_t* frame) {
    for (int y = 0; y < HEIGHT; ++y)
        for (int x = 0; x < WIDTH; ++x) {
            const long dy = y - HEIGHT / 2, dx = x - WIDTH / 2;
            const int inside = dy * dy + dx * dx < 210L * 210L, spot = (y / 8 + x / 8) % 13 == 0;
            frame[y * STRIDE + x] = (uint16_t)(inside ? (spot ? 56000 : 24000) : 0);
        }
}

int main(int count, char** arguments) {
    frt_bundle* bundle = NULL;
    frt_pipeline* pipeline = NULL;
    frt_result* result = NULL;
    int code = 1;
    uint16_t* frame = calloc((size_t)HEIGHT * STRIDE, sizeof *frame);
    if (count != 2 || frame == NULL) {
        fprintf(stderr, "usage: c_api BUNDLE\n");
        free(frame);
        return 2;
    }
    draw(frame);
    frt_image image = {0};
    image.size = sizeof image;
    image.data = frame;
    image.height = HEIGHT;
    image.width = WIDTH;
    image.channels = 1;
    image.bits = 16;
    image.stride_bytes = STRIDE * (ptrdiff_t)sizeof *frame;
    image.mm_per_px = 0.01;

    if (failed(frt_check_abi(FRT_ABI_VERSION)) || failed(frt_bundle_open(arguments[1], &bundle)) ||
        failed(frt_pipeline_create(bundle, NULL, &pipeline)) || failed(frt_run(pipeline, &image, &result)))
        goto done;
    printf("%s on %s\n", frt_bundle_name(bundle), frt_pipeline_provider(pipeline));

    const uint8_t* mask = NULL;
    int64_t height = 0, width = 0, on = 0;
    if (failed(frt_result_mask(result, &mask, &height, &width))) goto done;
    for (int64_t i = 0; i < height * width; ++i) on += mask[i] != 0;
    printf("mask of %lld x %lld px, %lld on, %lld lesions\n", (long long)height, (long long)width, (long long)on,
           (long long)frt_result_lesion_count(result));
    if (frt_result_lesion_count(result) > 0) {
        frt_lesion lesion;
        if (failed(frt_result_lesion(result, 0, &lesion))) goto done;
        printf("largest: %lld px, %.4f mm2\n", (long long)lesion.area_px, lesion.area_mm2);
    }
    printf("stages:");
    for (int64_t i = 0; i < frt_result_timing_count(result); ++i) {
        const char* stage = NULL;
        double ms = 0.0;
        if (failed(frt_result_timing(result, i, &stage, &ms))) goto done;
        printf(" %s", stage);
    }
    printf("\n");
    code = 0;

done:
    frt_result_free(result);
    frt_pipeline_destroy(pipeline);
    frt_bundle_close(bundle);
    free(frame);
    return code;
}
