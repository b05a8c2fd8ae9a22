#include <fundusrt/fundusrt.h>
#include <stdio.h>

int main(void) {
    printf("%s\n", frt_status_name(frt_check_abi(FRT_ABI_VERSION)));
    return frt_check_abi(FRT_ABI_VERSION) == FRT_OK ? 0 : 1;
}
